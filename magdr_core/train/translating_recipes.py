"""How two small networks of another nature are trained, on portraits and drawn faces: to be adapted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.components.recipe import Recipe
from magdr_core.train.photo_recipes import PAIRED, SOURCES

NETWORK: Mapping[str, Any] = {"width": 16, "blocks": 4, "size": 64}


def _recipe(name: str, use: str, trainer: str, steps: int, settings: Mapping[str, float]) -> Recipe:
    return Recipe(
        name=name,
        kind="generator",
        use=use,
        trainer=trainer,
        params=NETWORK,
        # Without grain: a network that is trained on noise learns to ignore it, attacks included.
        dataset={"size": 64, "grain": 0.0},
        photos={"size": 64, "variations": 8, "least_source": SOURCES[64]},
        drawn=0.25,
        steps=steps,
        pool=6144,
        settings=settings,
        tested=256,
    )


TRANSLATING_RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _recipe(
            "stylise64",
            "stylise",
            "magdr_core.train.stylising:StylisingTrainer",
            2400,
            {**PAIRED, "region": 0.0},
        ),
        _recipe("inpaint64", "inpaint", "magdr_core.train.inpainting:InpaintingTrainer", 3600, PAIRED),
    )
}
"""By name."""

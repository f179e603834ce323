"""How the networks for photographs are trained: an editor, a parser, purifiers, a hardened editor, a twin.

The editor comes first: everything else is trained on what it does, with its weights beside the shipped ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.components.recipe import Recipe

PAIRED: Mapping[str, float] = {"square": 10.0, "region": 3.0, "gradient": 1.0, "adversarial": 0.02}
"""Weights of the losses that all generators are trained with: they are shown the exact result."""

ATTENTION: Mapping[str, float] = {"attention": 0.1, "margin": 0.2, "nothing": 0.06}
"""Further settings of the editor's trainer."""

SOURCES: Mapping[int, int] = {64: 60, 128: 90}
"""Fewest pixels of the original that a portrait is cut from, by the size that is trained at."""


def _photos(size: int, variations: int) -> dict[str, Any]:
    return {"size": size, "variations": variations, "least_source": SOURCES[size]}


def _victim(size: int) -> dict[str, Any]:
    params = {"weights": f"builtin:photo-editor{size}", "size": size}
    return {"use": "photo-editor", "params": params}


def _surrogate(size: int) -> dict[str, Any]:
    return {"use": "unet", "params": {"weights": f"builtin:parser-photos{size}"}}


def _recipes(size: int) -> list[Recipe]:
    """At 128 px a step costs four times as much, and half of the portraits are sharp enough."""
    share = 1.0 if size == 64 else 0.5
    network = {"width": 32, "blocks": 4, "size": size}
    editor = Recipe(
        name=f"photo-editor{size}",
        kind="generator",
        use="photo-editor",
        trainer="magdr_core.train.photo_editing:PhotoEditingTrainer",
        start="builtin:stargan-faces64" if size == 64 else "builtin:photo-editor64",
        params=network,
        # Without grain: a network that is trained on noise learns to ignore it, attacks included.
        dataset={"size": size, "grain": 0.0},
        photos=_photos(size, 16),
        drawn=0.25,
        steps=round(3000 * share),
        pool=round(12288 * share),
        settings={**PAIRED, **ATTENTION},
    )
    hardened = Recipe(
        name=f"photo-hardened{size}",
        kind="generator",
        use="photo-editor",
        trainer="magdr_core.train.photo_editing:HardenedPhotoTrainer",
        start=f"builtin:photo-editor{size}",
        params=network,
        dataset={"size": size, "grain": 0.0},
        photos=_photos(size, 8),
        drawn=0.25,
        steps=round(1200 * share),
        pool=round(6144 * share),
        lr=7e-4,
        settings={
            **PAIRED,
            **ATTENTION,
            "attack_eps": 0.025,
            "attack_step": 0.01875,
            "attack_steps": 2.0,
            "attack_critic": 0.0,
            "attack_from_result": 1.0,
        },
    )
    twin = Recipe(
        name=f"twin-photos{size}",
        kind="generator",
        use="photo-editor",
        trainer="magdr_core.train.twin:TwinTrainer",
        start=f"builtin:photo-hardened{size}",
        params=network,
        dataset={"size": size},
        photos=_photos(size, 8),
        drawn=0.25,
        victim=_victim(size),
        steps=round(3000 * share),
        pool=round(6144 * share),
        batch=8,
        lr=4e-4,
        settings={"eps_from": 4 / 255, "eps_to": 8 / 255, "attack_steps": 2.0},
    )
    parser = Recipe(
        name=f"parser-photos{size}",
        kind="parser",
        use="unet",
        trainer="magdr_core.train.parsing:ParsingTrainer",
        start="builtin:parser-faces64" if size == 64 else "builtin:parser-photos64",
        params={"width": 16},
        dataset={"size": size},
        photos=_photos(size, 6),
        drawn=0.35,
        victim=_victim(size),
        steps=round(1400 * share),
        pool=round(6144 * share),
        lr=2e-3,
        settings={"attacked": 0.3, "noisy": 0.3},
    )
    purifiers = [
        Recipe(
            name=f"purifier-{name}{size}",
            kind="restoration",
            use="purifier",
            trainer="magdr_core.train.purifying:PurifyingTrainer",
            start="builtin:purifier-faces64" if size == 64 else f"builtin:purifier-{name}64",
            params={"width": 16},
            dataset={"size": size},
            photos=_photos(size, 4),
            drawn=0.25,
            victim=_victim(size),
            surrogate=_surrogate(size),
            steps=round(1800 * share),
            pool=round(3072 * share),
            lr=1e-3,
            settings={"eq8": eq8, "eq8_from": 0.4 if eq8 else 1.0, "smooth": 0.4},
            tested=128,
        )
        for name, eq8 in (("photos", 0.0), ("photo-editing", 1.0))
    ]
    return [editor, parser, *purifiers, hardened, twin]


PHOTO_RECIPES: dict[str, Recipe] = {recipe.name: recipe for size in (64, 128) for recipe in _recipes(size)}
"""By name."""

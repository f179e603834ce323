"""How the forensic models are trained: arms that differ by one thing, for each group that is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from magdr_core.components.recipe import Recipe
from magdr_core.errors import MagdrError
from magdr_core.train.forged_pairs import FAMILY

GROUPS: Mapping[str, tuple[str, ...]] = {
    "generators": ("editing", "reenactment", "replacement"),
    "blends": ("swap", "self-blended"),
    "local": ("splice", "inpainted", "warped"),
}
"""Families whose traces are alike: one is unseen together with its relatives."""

EVERY: Mapping[str, float] = {f"{FAMILY}{name}": 1.0 for names in GROUPS.values() for name in names}

CLASSIFIER: Mapping[str, Any] = {
    "kind": "forensic",
    "use": "plain",
    "params": {"width": 16},
    "steps": 6000,
    "batch": 64,
    "pool": 8192,
    "lr": 1e-3,
}
"""What all arms have in common. Steps are those of the classifier: every arm makes as many."""

ADVERSARY: Mapping[str, float] = {"augment": 1.0, "s_min": 1.0}


def _arm(name: str, trainer: str, **settings: float) -> Recipe:
    where = f"magdr_core.train.forensic:{trainer}"
    return Recipe(name=name, trainer=where, settings={**EVERY, **settings}, **CLASSIFIER)


_ARMS = (
    _arm("forensic-plain64", "plain"),
    _arm("forensic-augmented64", "plain", augment=1.0),
    _arm("forensic-random-blur64", "random_blur", **ADVERSARY),
    # Twice the published strength; at 2/255 an attack is larger than the traces themselves.
    _arm("forensic-pgd64", "pgd", eps=1 / 255, attack_steps=2.0, **ADVERSARY),
    _arm("forensic-blur-gradient64", "blur_gradient", attack_steps=2.0, **ADVERSARY),
    _arm("forensic-blur64", "blur_game", attack_steps=1.0, game_lr=2e-3, **ADVERSARY),
    Recipe(
        **{**CLASSIFIER, "use": "frequency"},
        name="forensic-frequency64",
        trainer="magdr_core.train.forensic:plain",
        settings={**EVERY, "augment": 1.0},
    ),
    Recipe(
        **CLASSIFIER,
        name="forensic-self-blended64",
        trainer="magdr_core.train.blending:BlendingTrainer",
        settings={f"{FAMILY}self-blended": 1.0, "augment": 1.0},
    ),
    Recipe(
        **{**CLASSIFIER, "use": "segmenter"},
        name="forensic-x-ray64",
        trainer="magdr_core.train.blending:BlendingTrainer",
        settings={f"{FAMILY}swap": 1.0, "augment": 1.0, "boundary": 100.0},
    ),
    Recipe(
        name="recovery64",
        kind="forensic",
        use="recovery",
        trainer="magdr_core.train.recovering:RecoveringTrainer",
        params={"width": 16},
        steps=12000,
        batch=16,
        pool=8192,
        settings={"spread": 0.01},
    ),
    *(
        Recipe(
            name=name,
            kind="forensic",
            use=use,
            trainer="magdr_core.train.localizing:LocalizingTrainer",
            params={"width": 16},
            steps=6000,
            batch=64,
            pool=8192,
            lr=2e-3,
            settings={**EVERY, "meta": meta, "inner": 1e-3},
        )
        for name, use, meta in (
            ("localizer-plain64", "segmenter", 0.0),
            ("localizer-box64", "segmenter-box", 0.0),
            ("localizer-recovered64", "delocate", 0.0),
            ("localizer-meta64", "delocate", 1.0),
        )
    ),
)

FORENSIC_RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ARMS}
"""By name."""


def left_out(recipe: Recipe, group: str) -> Recipe:
    """The same training without a group of families, under a name that says so.

    Raises:
        MagdrError: there is no such group, or nothing is left to learn from.
    """
    if group not in GROUPS:
        raise MagdrError(f"there is no group {group!r} of forgeries; groups are {', '.join(GROUPS)}")
    out = {f"{FAMILY}{name}" for name in GROUPS[group]}
    settings = {k: v for k, v in recipe.settings.items() if k not in out}
    forged = [k for k in recipe.settings if k.startswith(FAMILY)]
    if forged and not set(forged) - out:
        raise MagdrError(f"{recipe.name} learns from {group} alone: none of it is left")
    return replace(recipe, name=f"{recipe.name}-without-{group}", settings=settings)

"""How the forensic models are trained: arms that differ by one thing, for each group that is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from magdr_core.components.recipe import Recipe
from magdr_core.errors import MagdrError

FAMILY = "forgery:"
"""How the settings that name forgeries begin: `forgery:swap` holds the share of swaps among the fakes."""

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

BLENDS: Mapping[str, Any] = {**CLASSIFIER, "pool": 4096}
"""Of faces that are blended anew each time the masks are kept, which are large."""

BLURRING: Mapping[str, float] = {"augment": 1.0, "s_min": 1.0}
"""Of the arms that are trained on blurs; `s_min` in a card says that these were."""

PHOTOS: Mapping[str, Any] = {"photos": {"size": 64, "variations": 6, "least_source": 60}, "drawn": 0.25}
"""Of models for photographs, which see drawn faces as well."""

PASTED: Mapping[str, float] = {
    f"{FAMILY}{name}": 1.0 for name in ("editing", *GROUPS["blends"], *GROUPS["local"])
}
"""What can be forged on photographs: the other generators know drawn faces alone."""

RECOVERY: Mapping[str, str] = {"recovery": "builtin:recovery64"}
"""What the localizers after Delocate are shown comes from a network that is trained before them."""


def _arm(name: str, trainer: str, **settings: float) -> Recipe:
    where = f"magdr_core.train.forensic:{trainer}"
    return Recipe(name=name, trainer=where, settings={**EVERY, **settings}, **CLASSIFIER)


_ARMS = (
    _arm("forensic-plain64", "plain"),
    _arm("forensic-augmented64", "plain", augment=1.0),
    # Half of the reals are resampled and feathered as the fakes are, so that this alone tells nothing.
    _arm("forensic-innocent64", "plain", innocent=0.5),
    _arm("forensic-innocent-augmented64", "plain", innocent=0.5, augment=1.0),
    _arm("forensic-random-blur64", "random_blur", **BLURRING),
    # Twice the published strength; at 2/255 an attack is larger than the traces themselves.
    _arm("forensic-pgd64", "pgd", eps=1 / 255, attack_steps=2.0, augment=1.0),
    _arm("forensic-blur-gradient64", "blur_gradient", attack_steps=2.0, **BLURRING),
    _arm("forensic-blur64", "blur_game", attack_steps=1.0, game_lr=2e-3, **BLURRING),
    Recipe(
        **{**CLASSIFIER, "use": "frequency"},
        name="forensic-frequency64",
        trainer="magdr_core.train.forensic:plain",
        settings={**EVERY, "augment": 1.0},
    ),
    Recipe(
        **BLENDS,
        name="forensic-self-blended64",
        trainer="magdr_core.train.blending:BlendingTrainer",
        settings={f"{FAMILY}self-blended": 1.0, "augment": 1.0},
    ),
    Recipe(
        **{**BLENDS, "use": "segmenter"},
        name="forensic-x-ray64",
        trainer="magdr_core.train.blending:BlendingTrainer",
        settings={f"{FAMILY}swap": 1.0, "augment": 1.0, "boundary": 100.0},
    ),
    *(
        Recipe(
            name=name,
            kind="forensic",
            use="recovery",
            trainer="magdr_core.train.recovering:RecoveringTrainer",
            params=params,
            steps=12000,
            batch=16,
            pool=6144,
            settings={"spread": 0.01},
        )
        for name, params in (
            ("recovery64", {"width": 16}),
            ("recovery-transformer64", {"width": 64, "form": "transformer"}),
        )
    ),
    *(
        Recipe(
            name=name,
            kind="forensic",
            use=use,
            trainer="magdr_core.train.localizing:LocalizingTrainer",
            params={"width": 16, **recovery},
            steps=6000,
            batch=64,
            pool=8192,
            lr=2e-3,
            settings={**EVERY, "meta": meta, "inner": 1e-3},
        )
        for name, use, recovery, meta in (
            ("localizer-plain64", "segmenter", {}, 0.0),
            ("localizer-box64", "segmenter-box", {}, 0.0),
            ("localizer-recovered64", "delocate", RECOVERY, 0.0),
            ("localizer-meta64", "delocate", RECOVERY, 1.0),
        )
    ),
    Recipe(
        name="localizer-mapped64",
        kind="forensic",
        use="delocate",
        trainer="magdr_core.train.localizing:LocalizingTrainer",
        params={"width": 16, **RECOVERY, "mapping": True},
        steps=6000,
        batch=64,
        pool=8192,
        lr=2e-3,
        settings={**EVERY, "mapping": 1.0},
    ),
    Recipe(
        **{**CLASSIFIER, **PHOTOS},
        name="forensic-photos64",
        trainer="magdr_core.train.forensic:plain",
        settings={**PASTED, "augment": 1.0},
    ),
    Recipe(
        **{**CLASSIFIER, **PHOTOS, "use": "segmenter", "lr": 2e-3, "steps": 4000},
        name="localizer-photos64",
        trainer="magdr_core.train.localizing:LocalizingTrainer",
        settings={**PASTED, "augment": 1.0},
    ),
)

FORENSIC_RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ARMS}
"""By name."""


WITHOUT, SEED = "-without-", "-seed"
"""What names of recipes are followed by: a group that is left out, and then another seed."""

_SEEDED = re.compile(rf"(?P<name>.+){SEED}(?P<seed>\d{{1,9}})")


def variant(name: str, recipes: Mapping[str, Recipe]) -> Recipe | None:
    """A recipe without a group of families, or of another seed: `NAME-without-GROUP-seedN`; None of a name
    that is no such variant.

    Raises:
        MagdrError: there is no such group, it learns from none of it, or nothing is left to learn from.
    """
    seeded = _SEEDED.fullmatch(name)
    base, left, group = (seeded["name"] if seeded else name).partition(WITHOUT)
    if base not in recipes or not (seeded or left):
        return None
    recipe = left_out(recipes[base], group) if left else recipes[base]
    return replace(recipe, name=name, seed=int(seeded["seed"])) if seeded else recipe


def left_out(recipe: Recipe, group: str) -> Recipe:
    """The same training without a group of families, under a name that says so.

    Raises:
        MagdrError: there is no such group, it learns from none of it, or nothing is left to learn from.
    """
    if group not in GROUPS:
        raise MagdrError(f"there is no group {group!r} of forgeries; groups are {', '.join(GROUPS)}")
    out = {f"{FAMILY}{name}" for name in GROUPS[group]}
    settings = {k: v for k, v in recipe.settings.items() if k not in out}
    forged = [k for k in recipe.settings if k.startswith(FAMILY)]
    if forged and not set(forged) - out:
        raise MagdrError(f"{recipe.name} learns from {group} alone: none of it is left")
    if settings == recipe.settings:
        raise MagdrError(f"{recipe.name} learns from no {group}: there is nothing to leave out")
    return replace(recipe, name=f"{recipe.name}{WITHOUT}{group}", settings=settings)

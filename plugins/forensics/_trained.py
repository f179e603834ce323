"""What weights have been trained on, as the card beside their file says."""

from __future__ import annotations

import tomllib
from pathlib import Path

from magdr_core.api import TrainedOn

FORGERY = "forgery:"
"""How the settings of a card begin that name a forgery."""

AUGMENTED = ("jpeg", "noise")
"""Qualities that the ordinary augmentation holds."""

BLURRED = "s_min"
"""The setting of a training that blurs."""


def trained_on(weights: Path | str | None) -> TrainedOn:
    """Of a weight file; nothing where it has no card, or is none."""
    card = Path(weights).with_suffix(".toml") if weights is not None else None
    if card is None or not card.is_file():
        return TrainedOn()
    training = tomllib.loads(card.read_text(encoding="utf-8")).get("training", {})
    settings = training.get("settings", {})
    qualities = AUGMENTED if settings.get("augment") else ()
    if BLURRED in settings:
        qualities = (*qualities, "gaussian")
    families = tuple(k.removeprefix(FORGERY) for k, v in settings.items() if k.startswith(FORGERY) and v > 0)
    return TrainedOn(families, qualities, str(training.get("data", "")).rpartition(", ")[2])

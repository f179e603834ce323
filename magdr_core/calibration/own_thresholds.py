"""Thresholds set anew on one's own clean pictures, everything else as the registry's calibration has it.

What an attack does to the evidence is much the same on any picture; how far clean pictures scatter is not.
So this alone takes most of the false alarms away, and no picture has to be attacked for it.
"""

from __future__ import annotations

from typing import Any

from magdr_core.calibration.calibrator import Calibrator
from magdr_core.calibration.content import checked_entry, kept_as_json
from magdr_core.components.batch import Samples
from magdr_core.components.protocols import Adaptable, FollowsThreshold
from magdr_core.measures.thresholds import threshold_at_fpr


def with_own_thresholds(
    asked: Calibrator, clean: Samples, detectors: list[str], defenses: list[str]
) -> dict[str, Any]:
    """Entries of detectors and defenses, and of the detectors that these need, by key.

    The threshold for the rate of false alarms is that of the clean scores. The one for the best F1, and what
    a defense knows in units of the score, move with it.

    Args:
        asked: calibrates as the registry says; what it has is loaded, else computed.
        clean: one's own pictures with their edits.

    Raises:
        ComponentError: a component fails on them.
        CalibrationError: the registry's calibration does not fit.
    """
    entries: dict[str, Any] = {}
    moved: dict[str, float] = {}
    needed = [*detectors, *(of for label in defenses for of in _detectors_of(asked, label))]
    for label in dict.fromkeys(needed):
        key = asked.key("detector", label)
        calibrated = asked.detector(label)
        entries[key], moved[label] = _detector(asked, asked.used[key], label, calibrated.detector, clean)
    for label in defenses:
        defense = asked.defense(label)
        key = asked.key("defense", label)
        if key not in asked.used:  # it learns nothing
            continue
        entry = asked.used[key]
        if isinstance(defense.component, FollowsThreshold) and (own := _detectors_of(asked, label)):
            state = defense.component.moved(entry["state"], moved[own[0]])
            entry = checked_entry({**entry, "state": kept_as_json(state)})
        entries[key] = entry
    return entries


def _detector(
    asked: Calibrator, entry: dict[str, Any], label: str, detector: Any, clean: Samples
) -> tuple[dict[str, Any], float]:
    """The entry with its new thresholds, and how much higher the one for the rate is."""
    state = entry["state"]
    if isinstance(detector.component, Adaptable):
        state = detector.call(detector.component.adapted, state, clean, asked.generator, free=True)
    scores = asked.scores(label, detector, clean)
    threshold = float(threshold_at_fpr(scores, asked.policy.fpr))
    by = threshold - entry["thresholds"]["fpr"]
    found = {
        **entry,
        "state": kept_as_json(state),
        "thresholds": {"fpr": threshold, "f1": entry["thresholds"]["f1"] + by},
        "clean": {
            "n": len(scores),
            "mean": float(scores.mean()),
            "std": float(scores.std()),
            "fpr": asked.policy.fpr,
        },
    }
    return checked_entry(found), by


def _detectors_of(asked: Calibrator, defense: str) -> list[str]:
    """Labels of the detectors that a defense decides by."""
    resolved = asked.toolkit.resolve("defense", defense)
    needs = resolved.entry.spec.needs.items()
    return [str(resolved.needs[name]) for name, need in needs if need.calibrated]

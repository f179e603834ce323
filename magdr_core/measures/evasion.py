"""What attacks that know a detector get past it: figures of arrays along their last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from magdr_core.components.objective import SUCCESS
from magdr_core.measures.thresholds import Array

EVASION = 0.95
"""Share of images that have to go undetected for `kept_at_95_evasion`."""


def key_of(mode: str, metric: str) -> str:
    """Where a cell keeps a mode's values; the pool, an empty name, has the plain ones."""
    return f"{mode}/{metric}" if mode else metric


def undetected(disruption: Array, flagged: Array) -> Array:
    """Disruption `[..., n]` that gets past a detector.

    Args:
        disruption: `[..., n]` undefended output MSE, [-1,1] units.
        flagged: bool `[..., n]`; these count as 0.
    """
    return np.where(flagged, 0.0, disruption)


def success_undetected(disruption: Array, flagged: Array) -> Any:
    """Share `[...]` of images that disrupt by more than .05 and are not flagged; both are `[..., n]`."""
    return (undetected(disruption, flagged) > SUCCESS).mean(-1)


def kept_share(disruption: Array, flagged: Array, whole: Array, clean_flagged: Array) -> Any:
    """The disruption that evades 95% of the time, as a share of an undefended one.

    Flagged images keep nothing. An image that nothing evades is sent as it is, without any disruption; it is
    flagged only if it is a false alarm.

    Args:
        disruption, flagged: `[..., n]` of the images that evade best.
        whole: `[..., n]` the strongest disruption that anything found where nothing defends.
        clean_flagged: `[..., n]` false alarms on the same faces.

    Returns:
        `[...]`; NaN where even so fewer than 95% go undetected, or there is no disruption to keep.
    """
    left, caught = undetected(disruption, flagged), flagged & clean_flagged
    total = whole.sum(-1)
    enough = (total > 0) & (1 - caught.mean(-1) >= EVASION)
    return np.where(enough, left.sum(-1) / np.where(total > 0, total, 1.0), np.nan)


def kept_behind(reached: Array, whole: Array) -> Any:
    """What an attack reaches behind a defense, `[...]`, as a share of the most that is reached without one.

    Args:
        reached, whole: `[..., n]`, in the same units.

    Returns:
        NaN where nothing is reached without one.
    """
    total = whole.sum(-1)
    return np.where(total > 0, reached.sum(-1) / np.where(total > 0, total, 1.0), np.nan)

"""Operating points of a detector: at a rate of false alarms, and with the best F1.

The threshold for a rate is split-conformal: of n clean scores, the one with rank ceil((n + 1)(1 - rate)). A
further clean score, exchangeable with those, is above it with a probability of at most the rate, whatever
the scores' distribution (Vovk, Gammerman & Shafer 2005). A quantile of the n scores themselves promises
less: the largest of 20 scores is exceeded by 4.8% of further ones, not by none.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def scores_needed(fpr: float) -> int:
    """How many clean scores it takes, at least, to promise a false-positive rate: 99 for 1%, 19 for 5%."""
    return ceil(1 / _exact(fpr)) - 1


def promised_fpr(n: int, fpr: float) -> float:
    """The false-positive rate that a threshold on `n` clean scores keeps: `fpr`, or what comes nearest.

    With fewer than `scores_needed(fpr)` it is 1 / (n + 1), the rate of what exceeds all n.
    """
    return fpr if n >= scores_needed(fpr) else 1 / (n + 1)


def rate_kept(n: int, fpr: float) -> str:
    """A sentence for whoever wants a rate that `n` clean scores cannot promise; else an empty text."""
    if n >= scores_needed(fpr):
        return ""
    return (
        f"a threshold on {n} clean faces keeps {promised_fpr(n, fpr):.1%} of false alarms, "
        f"not {100 * fpr:g}%: that takes {scores_needed(fpr)} of them"
    )


def threshold_at_fpr(clean: Array, fpr: float) -> Any:
    """The score that a further clean one exceeds with a probability of at most `promised_fpr(n, fpr)`.

    Args:
        clean: `[..., n]` scores of clean images, n >= 1.
        fpr: wanted false-positive rate, in (0, 1).

    Returns:
        `[...]` scores (a float of one axis): those with rank ceil((n + 1)(1 - fpr)), in ascending order. If
        there is no such rank, n being below `scores_needed(fpr)`, the largest.
    """
    n = clean.shape[-1]
    above = floor(
        (n + 1) * _exact(fpr)
    )  # n + 1 - rank, in exact numbers: 0.07 * 100 is more than 7 in floats
    return np.sort(clean, axis=-1)[..., n - max(above, 1)]


def best_f1_threshold(clean: Array, attacked: Array) -> float:
    """The threshold (midway between two scores) with the best F1 of `score > threshold`."""
    values = np.unique(np.concatenate([clean, attacked]))
    cuts = np.concatenate([[values[0] - 1.0], (values[1:] + values[:-1]) / 2])
    tp = (attacked[None] > cuts[:, None]).sum(1)
    fp = (clean[None] > cuts[:, None]).sum(1)
    f1 = 2 * tp / np.maximum(tp + fp + len(attacked), 1)
    return float(cuts[int(f1.argmax())])


def _exact(fpr: float) -> Fraction:
    """The rate as it is written in decimals."""
    return Fraction(repr(float(fpr)))

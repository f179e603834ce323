"""Figures of merit and their bootstrap intervals.

Intervals resample identities: two pictures of one person are not two independent observations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

RESAMPLES = 1000
LEVEL = 0.95


def bootstrap(
    statistic: Callable[[Array], float], identities: Array, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """(value, low, high) of `statistic(rows)`, where rows are indices of samples.

    Percentile bootstrap over identities. With one identity there is no interval: (value, nan, nan).
    """
    everything = np.arange(len(identities))
    value = statistic(everything)
    names, group = np.unique(identities, return_inverse=True)
    if len(names) < 2:
        return value, float("nan"), float("nan")
    members = [everything[group == i] for i in range(len(names))]
    # One picture per identity is the usual case, and indexing is much faster than joining.
    single = np.concatenate(members) if len(names) == len(identities) else None
    rng = np.random.Generator(np.random.PCG64(seed))
    draws = []
    for _ in range(resamples):
        chosen = rng.integers(0, len(names), len(names))
        rows = np.concatenate([members[i] for i in chosen]) if single is None else single[chosen]
        draws.append(statistic(rows))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return value, float(low), float(high)


def auroc(negatives: Array, positives: Array) -> float:
    """Probability that a positive scores above a negative, ties counted half (Mann-Whitney)."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).mean() / (2 * len(negatives)))


def tpr_at_fpr(negatives: Array, positives: Array, fpr: float) -> float:
    """Share of positives above the score that at most `fpr` of these negatives exceed."""
    allowed = int(np.floor(fpr * len(negatives)))
    return float((positives > np.sort(negatives)[::-1][allowed]).mean())


def decisions(negatives: Array, positives: Array, threshold: float) -> Mapping[str, float]:
    """Precision, recall, F1 of the positive class, support-weighted F1, accuracy, false-positive rate.

    Precision is 0 where nothing is flagged, as is F1.
    """
    tp, fp = float((positives > threshold).sum()), float((negatives > threshold).sum())
    fn, tn = len(positives) - tp, len(negatives) - fp
    f1 = _f1(tp, fp, fn)
    weighted = (len(positives) * f1 + len(negatives) * _f1(tn, fn, fp)) / (len(positives) + len(negatives))
    return {
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / len(positives),
        "f1": f1,
        "f1_weighted": weighted,
        "accuracy": (tp + tn) / (len(positives) + len(negatives)),
        "fpr_clean": fp / len(negatives),
    }


def _f1(tp: float, fp: float, fn: float) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0

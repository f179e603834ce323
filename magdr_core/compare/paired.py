"""The difference of a figure between two runs on the same samples: interval and p."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magdr_core.measures.intervals import Statistic, difference_interval
from magdr_core.measures.statistics import FLIPS
from magdr_core.measures.thresholds import Array

_BLOCK = 1000
_ENOUGH = 200
"""After so many extreme exchanges p is known to a tenth of itself, and far from small (Besag and Clifford,
Biometrika 78, 1991)."""


@dataclass(frozen=True)
class Paired:
    """B minus A with its 95% interval (NaN with a single identity)."""

    a: float
    b: float
    difference: float
    low: float
    high: float


def difference(
    statistic: Statistic, a: Sequence[Array], b: Sequence[Array], identities: Array, seed: int
) -> Paired:
    """What B is above A, with its interval over identities; both runs are given the same draws.

    Args:
        a, b: per-sample arrays `[n]` that the statistic takes, of the same samples in the same order.
    """
    found = difference_interval(statistic, a, b, identities, seed)
    return Paired(float(statistic(*a)), float(statistic(*b)), *found)


def exchange_p(
    statistic: Statistic,
    a: Sequence[Array],
    b: Sequence[Array],
    identities: Array,
    seed: int,
    flips: int = FLIPS,
) -> float:
    """Two-sided p of the runs' names meaning nothing (Fisher, The Design of Experiments, 1935).

    If nothing had changed, what A and B measured could be exchanged on any identity. All exchanges are tried
    where there are no more than `flips`, else so many random ones, fewer if p is large; no p is below
    1 / (flips + 1). For a mean this is the sign test of `magdr_core.measures.statistics.sign_flip_p`.
    """
    names, group = np.unique(identities, return_inverse=True)
    limit = abs(float(statistic(*b)) - float(statistic(*a))) * (1 - 1e-12)

    def extreme(exchanged: Array) -> int:
        rows = exchanged[:, group]
        one = statistic(*(np.where(rows, y, x) for x, y in zip(a, b, strict=True)))
        other = statistic(*(np.where(rows, x, y) for x, y in zip(a, b, strict=True)))
        return int((np.abs(one - other) >= limit).sum())

    n = len(names)
    if 2**n <= flips:
        every = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
        return sum(extreme(every[i : i + _BLOCK]) for i in range(0, 2**n, _BLOCK)) / 2**n
    rng = np.random.Generator(np.random.PCG64(seed))
    found = drawn = 0
    while drawn < flips and found < _ENOUGH:
        size = min(_BLOCK, flips - drawn)
        bits = np.unpackbits(rng.integers(0, 256, (size, -(-n // 8)), dtype=np.uint8), axis=1)
        found += extreme(bits[:, :n].astype(bool))
        drawn += size
    return (1 + found) / (1 + drawn)


def fewest_identities(comparisons: int, level: float) -> int:
    """So many identities must differ before the smallest possible p, 2 in 2^n, stays below the level after
    a correction for so many comparisons."""
    n = 1
    while 2.0 / 2**n * comparisons >= level:
        n += 1
    return n

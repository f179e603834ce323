"""95% intervals of figures, over identities: two pictures of one person are not two independent observations.

Which interval depends on what a statistic says of itself. `python benchmarks/coverage.py` measures how often
each contains the truth, beside the percentile bootstrap, which does so in 54 to 94 of 100 cases at 8 to 64
identities; `benchmarks/results/intervals/coverage.md` has the figures.

- :class:`Share`, in [0, 1]: Clopper and Pearson's binomial bounds (Biometrika 26, 1934) for the number of
  independent observations that has the jackknife's variance (Korn and Graubard, Survey Methodology 24, 1998).
  For a plain share of n identities these are the exact bounds.
- :class:`Ratio` of sums, such as a mean: studentised bootstrap (Efron 1981; Hall, Ann. Statist. 16, 1988).
- :class:`PairedChange` of a figure, after minus before on the same samples: as :func:`difference_interval`.
- Any other function of the samples: BCa bootstrap (Efron, JASA 82, 1987) at a level that is widened for few
  identities (Hesterberg, The American Statistician 69, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri, stdtrit

from magdr_core.measures.thresholds import Array

Statistic = Callable[..., Any]
"""A figure of per-sample arrays along their last axis, `statistic(*arrays)`."""

Interval = tuple[float, float]

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
RESAMPLES = 999
"""One less than a multiple of 1 / TAIL: quantiles are then order statistics."""

FEWEST = 5
"""With fewer identities too many resamples are the same one over again, and Student's t takes over."""

_DEGENERATE = 0.01
"""If more resamples than this have no spread, their studentised values say nothing of the tails."""

_BLOCK = 2**16
"""Values looked at together: few enough for the cache."""


@dataclass(frozen=True)
class Known:
    """A figure that follows from the design, not from chance: it has no interval."""

    of: Statistic

    def __call__(self, *arrays: Array) -> Any:
        return self.of(*arrays)


@dataclass(frozen=True)
class Share:
    """A figure in [0, 1] that reaches its ends where every identity is right, or wrong.

    Attributes:
        smooth: a single sample moves it by little, so that the jackknife knows its variance; else the
            bootstrap does.
        found: what it is at most if it is 0 and so large a share of identities may be right after all.
    """

    of: Statistic
    smooth: bool = True
    found: Callable[[float], float] = float

    def __call__(self, *arrays: Array) -> Any:
        return self.of(*arrays)


@dataclass(frozen=True)
class PairedChange:
    """A figure of the first half of the arrays minus the same figure of the other half: of the same samples
    after and before something, say."""

    of: Statistic

    def __call__(self, *arrays: Array) -> Any:
        half = len(arrays) // 2
        return np.asarray(self.of(*arrays[:half])) - np.asarray(self.of(*arrays[half:]))


@dataclass(frozen=True)
class Ratio:
    """A monotone function of a ratio of sums over samples.

    Attributes:
        of: the figure itself.
        terms: of the same arrays, what is summed above and below, `[n]` each.
        then: the monotone function.
        most: `[n]`, what the samples would add above at most; for figures in which many are set to 0.
    """

    of: Statistic
    terms: Callable[..., tuple[Array, Array]]
    then: Callable[[float], float] = float
    most: Callable[..., Array] | None = None

    def __call__(self, *arrays: Array) -> Any:
        return self.of(*arrays)


def mean_of(terms: Callable[..., Array], **more: Any) -> Ratio:
    """The mean of one value a sample, `terms(*arrays)` of shape `[..., n]`."""

    def both(*arrays: Array) -> tuple[Array, Array]:
        values = np.asarray(terms(*arrays), dtype=np.float64)
        return values, np.ones(len(values))

    return Ratio(lambda *arrays: np.mean(terms(*arrays), axis=-1), both, **more)


def interval(
    statistic: Statistic, arrays: Sequence[Array], identities: Array, seed: int
) -> tuple[float, float, float]:
    """(value, low, high) of `statistic(*arrays)`.

    Args:
        arrays: `[n]` each, per sample.
        identities: `[n]`, whose samples they are.
        seed: of the resamples, where there are any.

    Returns:
        NaN ends if there are fewer than two identities, or the figure itself is not known.
    """
    if isinstance(statistic, PairedChange):
        half = len(arrays) // 2
        return difference_interval(statistic.of, arrays[half:], arrays[:half], identities, seed)
    value = float(statistic(*arrays))
    people = _People(identities)
    if isinstance(statistic, Known) or people.count < 2 or math.isnan(value):
        return value, math.nan, math.nan
    if isinstance(statistic, Ratio):
        above, below = statistic.terms(*arrays)
        most = None if statistic.most is None else people.sums(statistic.most(*arrays))
        ends = _of_ratio(people.sums(above), people.sums(below), seed, most)
        low, high = sorted(float(statistic.then(end)) for end in ends)
    else:
        low, high = _of_function(statistic, _each(statistic, arrays), value, people, seed)
    return value, min(low, value), max(high, value)  # but for rounding they are on either side


def difference_interval(
    statistic: Statistic, a: Sequence[Array], b: Sequence[Array], identities: Array, seed: int
) -> tuple[float, float, float]:
    """(value, low, high) of `statistic(*b) - statistic(*a)`, of the same samples in the same order.

    Args, returns: as of :func:`interval`.
    """
    value = float(statistic(*b)) - float(statistic(*a))
    people = _People(identities)
    if isinstance(statistic, Known) or people.count < 2 or math.isnan(value):
        return value, math.nan, math.nan
    if isinstance(statistic, Ratio) and statistic.then is float:
        (one, below), (other, same) = statistic.terms(*a), statistic.terms(*b)
        if np.array_equal(below, same):
            return value, *_of_ratio(people.sums(other - one), people.sums(below), seed)
    of_a, of_b = _each(statistic, a), _each(statistic, b)

    def apart(rows: Array) -> Any:
        return of_b(rows) - of_a(rows)

    draws = _values(apart, people, people.drawn(seed))
    if isinstance(statistic, Share) and not np.ptp(draws):
        return value, *_unseen(value, people.count, -1.0)
    low, high = bca(value, draws, _values(apart, people, people.others()))
    return value, min(low, value), max(high, value)


def _each(statistic: Statistic, arrays: Sequence[Array]) -> Callable[[Array], Any]:
    """The statistic of samples by their indices `[..., n]`."""
    return lambda rows: statistic(*(values[rows] for values in arrays))


class _People:
    """Identities and the rows that are theirs."""

    def __init__(self, identities: Array) -> None:
        names, self.group = np.unique(identities, return_inverse=True)
        self.count = len(names)
        order, sizes = np.argsort(self.group, kind="stable"), np.bincount(self.group)
        self._members = np.split(order, np.cumsum(sizes)[:-1])
        self._alike = np.stack(self._members) if np.ptp(sizes) == 0 else None

    def sums(self, values: Array) -> Array:
        """`[count]`, of `[n]`."""
        return np.bincount(self.group, weights=values, minlength=self.count)

    def drawn(self, seed: int) -> Iterator[Array]:
        """`[block, count]` identities with repetition, as many as `RESAMPLES` in all."""
        return _drawn(self.count, seed, len(self.group))

    def others(self) -> Iterator[Array]:
        """`[block, count - 1]`: without each identity in turn."""
        block = max(1, _BLOCK // len(self.group))
        each = np.arange(self.count - 1)
        for start in range(0, self.count, block):
            left_out = np.arange(start, min(start + block, self.count))[:, None]
            yield each + (each >= left_out)

    def rows(self, chosen: Array) -> Iterator[Array]:
        """Blocks `[block, rows]` of sample indices: all samples of the identities `[block, k]`."""
        if self._alike is not None:
            # One picture per identity is the usual case, and the faster one.
            single = self._alike.shape[1] == 1
            found = self._alike[:, 0].take(chosen) if single else self._alike[chosen]
            yield found.reshape(len(chosen), -1)
            return
        for one in chosen:
            yield np.concatenate([self._members[i] for i in one])[None]


def _drawn(count: int, seed: int, size: int) -> Iterator[Array]:
    """Resamples `[block, count]` of as many indices; each makes `size` values, which blocks are cut for."""
    rng = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _BLOCK // size)
    for start in range(0, RESAMPLES, block):
        yield rng.integers(0, count, (min(block, RESAMPLES - start), count))


def _values(each: Callable[[Array], Any], people: _People, chosen: Iterator[Array]) -> Array:
    """What a function of rows gives for every choice of identities; NaNs left out."""
    found = np.concatenate([np.atleast_1d(each(rows)) for block in chosen for rows in people.rows(block)])
    known: Array = found[~np.isnan(found)]
    return known


def _of_function(
    statistic: Statistic, each: Callable[[Array], Any], value: float, people: _People, seed: int
) -> Interval:
    if isinstance(statistic, Share) and statistic.smooth:
        without = _values(each, people, people.others())
        # The share of n identities gets variance share (1 - share) / n by this, and so its own n.
        variance = float(((without - without.mean()) ** 2).sum()) * (1 - 1 / people.count) ** 2
        low, high = _of_share(value, variance, people.count)
        return low, high if value else statistic.found(high)
    draws = _values(each, people, people.drawn(seed))
    if isinstance(statistic, Share):
        return _of_share(value, float(draws.var()), people.count)
    return bca(value, draws, _values(each, people, people.others()))


def _of_share(value: float, variance: float, n: int) -> Interval:
    """Clopper and Pearson's bounds for as many observations as have this variance.

    Without any variance, all identities being alike, those that are otherwise are bounded instead.
    """
    room = value * (1 - value)
    if variance <= 1e-12 * room or room <= 0:
        return _unseen(value, n, 0.0)
    effective = room / variance
    hits = value * effective
    low = betaincinv(hits, effective - hits + 1, TAIL)
    high = betaincinv(hits + 1, effective - hits, 1 - TAIL)
    return float(low), float(high)


def _unseen(value: float, n: int, least: float) -> Interval:
    """Where n identities all do the same: what a share of identities that do otherwise can make of it.

    That share is below 1 - TAIL^(1/n) (Clopper and Pearson's bound for none of n; about 3.7 / n. The rule of
    three, 3 / n, is the same bound on one side only).

    Args:
        least: of the figure, whose most is 1.
    """
    others = 1 - TAIL ** (1 / n)
    return (1 - others) * value + others * least, (1 - others) * value + others


def _of_ratio(above: Array, below: Array, seed: int, most: Array | None = None) -> Interval:
    """Of `above.sum() / below.sum()`, both `[n]`, by identity: studentised bootstrap; Student's t for few.

    Sums of values that are 0 but for some have resamples of zeros alone. Those have no spread, and BCa takes
    over. How many are not 0 is then the larger doubt, so that the upper end is at least Clopper and Pearson's
    bound for their share, times what they are on average.
    """
    n = len(above)
    total = below.sum()
    value = float(above.sum() / total)
    rest = above - value * below  # linearised, and centred for the sake of digits
    if not np.abs(rest).max() > 1e-12 * np.abs(above).max():
        return (value, value) if most is None or value else (0.0, _of_zeros(above, below, most))
    error = math.sqrt(n / (n - 1) * float((rest**2).sum())) / float(total)
    floor = 0.0 if above.min() >= 0 else -math.inf
    if n < FEWEST:
        half = float(stdtrit(n - 1, 1 - TAIL)) * error
        return max(value - half, floor), value + half
    moved, errors = _studentised(rest, below, seed)
    flat = errors <= 1e-9 * np.abs(moved)
    if flat.mean() > _DEGENERATE:
        without = (above.sum() - above) / (total - below)
        low, high = bca(value, value + moved, without)
        return low, high if floor else max(high, _of_zeros(above, below, most))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(flat, np.sign(moved) * np.inf, moved / errors)
    ranks = [round(TAIL * (len(t) + 1)) - 1, len(t) - round(TAIL * (len(t) + 1))]
    small, large = np.partition(t, ranks)[ranks]
    return max(value - float(large) * error, floor), value - float(small) * error


def _studentised(rest: Array, below: Array, seed: int) -> tuple[Array, Array]:
    """What each resample moves the ratio by, and its own standard error, `[RESAMPLES]` each."""
    n = len(rest)
    same = np.ptp(below) == 0
    parts = []
    for chosen in _drawn(n, seed, n):
        mine = rest[chosen]
        weights = below[:1] if same else below[chosen]
        total = n * below[0] if same else weights.sum(1)
        moved = mine.sum(1) / total
        own = mine - moved[:, None] * weights
        squares = np.einsum("ij,ij->i", own, own)
        parts.append(np.stack([moved, np.sqrt(squares * n / (n - 1)) / total]))
    moved, errors = np.concatenate(parts, 1)
    return moved, errors


def _of_zeros(above: Array, below: Array, most: Array | None) -> float:
    """The upper end that the share of identities which are not 0 has by itself."""
    n, there = len(above), int((above > 0).sum())
    bound = 1.0 if there == n else float(betaincinv(there + 1, n - there, 1 - TAIL))
    size = above[above > 0] if most is None else most
    return bound * float(size.mean() / below.mean())


def bca(value: float, draws: Array, without: Array) -> Interval:
    """Bias-corrected and accelerated bounds.

    Args:
        draws: the figure of the resamples.
        without: `[n]`, the figure without each identity.
    """
    if not np.ptp(draws):
        return float(draws[0]), float(draws[0])
    n = len(without)
    # Resamples vary by (n - 1) / n too little, and normal quantiles are not Student's.
    z = math.sqrt(n / (n - 1)) * float(stdtrit(n - 1, TAIL))
    below = ((draws < value).sum() + (draws <= value).sum()) / (2 * len(draws))
    bias = float(ndtri(np.clip(below, 1 / len(draws), 1 - 1 / len(draws))))
    apart = without.mean() - without
    scale = float((apart**2).sum()) ** 1.5
    acceleration = float((apart**3).sum()) / (6 * scale) if scale > 0 else 0.0
    levels = [ndtr(bias + (bias + end) / (1 - acceleration * (bias + end))) for end in (z, -z)]
    low, high = np.percentile(draws, [100 * float(level) for level in levels])
    return float(low), float(high)

"""How often 95% intervals contain the truth: `python benchmarks/coverage.py [CSV]`.

Samples are drawn from populations whose figures are known. `percentile` is the percentile bootstrap, `bca`
the bias-corrected and accelerated one, `magdr` what results.csv has (`magdr_core.measures.intervals`). Beside
the coverage are the shares of intervals that lie wholly below and above the truth, and the median width.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from magdr_core.measures.intervals import bca, interval
from magdr_core.measures.statistics import STATISTICS

SIZES = (8, 16, 32, 64, 256)
REPETITIONS = 1000
RESAMPLES = 1000
SEED = 0
COLUMNS = ("figure", "truth", "n", "method", "coverage", "below", "above", "width", "repetitions", "seed")


@dataclass(frozen=True)
class Case:
    """A population and a figure of it.

    Attributes:
        draw: arrays `[n]` of a sample.
        weighted: the figure of those arrays if sample i counts `counts[:, i]` times, `[b]`.
    """

    statistic: str
    truth: float
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]
    weighted: Callable[..., np.ndarray]


def errors(rng, n):
    """As skewed as the output errors of attacked images are."""
    return (rng.lognormal(size=n),)


def found(rng, n):
    return (rng.random(n) < 0.9,)


def scores(rng, n):
    """Attacked and clean; half of their variance is the face's own."""
    face, attacked, clean = np.sqrt(0.5) * rng.normal(size=(3, n))
    return face + attacked - np.sqrt(2) * ndtri(1 - 0.9), face + clean


def flags(rng, n):
    return rng.random(n) < 0.9, rng.random(n) < 0.05


def evading(rng, n):
    """Disruption that gets past a detector in .6 of the cases, half of what an oblivious attack does."""
    whole = rng.lognormal(size=n)
    return whole * rng.uniform(0, 1, n), rng.random(n) < 0.4, whole, np.zeros(n, dtype=bool)


def let_pass(rng, n):
    disruption, flagged, *_ = evading(rng, n)
    return disruption, flagged


def mean(counts, values):
    return counts @ values / counts.sum(1)


def f1(counts, flagged, clean_flagged):
    return 2 * (counts @ flagged) / (counts @ (1.0 + flagged + clean_flagged))


def auroc(counts, attacked, clean):
    above = np.sign(attacked[:, None] - clean) / 2 + 0.5
    return ((counts @ above) * counts).sum(1) / counts.sum(1) ** 2


def kept(counts, disruption, flagged, whole, _):
    return counts @ (disruption * ~flagged) / (counts @ whole)


def passed(counts, disruption, flagged):
    return mean(counts, disruption * ~flagged)


# Pairs of scores are of different faces, and so independent: AUROC .9.
CASES = {
    "mean of errors": Case("mean", np.exp(0.5), errors, mean),
    "share": Case("share", 0.9, found, mean),
    "AUROC": Case("auroc", 0.9, scores, auroc),
    "F1": Case("f1", 2 * 0.9 / (1 + 0.9 + 0.05), flags, f1),
    "kept ratio": Case("kept_at_95_evasion", 0.3, evading, kept),
    "undetected disruption": Case("mean_undetected", 0.3 * np.exp(0.5), let_pass, passed),
}


def intervals(case: Case, arrays, counts, seed):
    """Interval by method."""
    n = len(arrays[0])
    draws = case.weighted(counts, *arrays)
    value, low, high = interval(STATISTICS[case.statistic], arrays, np.arange(n), seed)
    without = case.weighted(1.0 - np.eye(n), *arrays)
    return {
        "percentile": tuple(np.percentile(draws, [2.5, 97.5])),
        "bca": bca(value, draws, without),
        "magdr": (low, high),
    }


def resamples(rng, n):
    """How often each of n samples is drawn, `[RESAMPLES, n]`."""
    drawn = rng.integers(0, n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * RESAMPLES).reshape(RESAMPLES, n).astype(float)


def study(sizes=SIZES, repetitions=REPETITIONS, cases=CASES):
    """Rows of the csv."""
    for n in sizes:
        ends: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for repetition in range(repetitions):
            rng = np.random.default_rng([SEED, n, repetition])
            counts = resamples(rng, n)
            for name, case in cases.items():
                for method, both in intervals(case, case.draw(rng, n), counts, repetition).items():
                    ends.setdefault((name, method), []).append(both)
        for (name, method), found in ends.items():
            truth = cases[name].truth
            low, high = np.array(found).T
            below, above = (high < truth).mean(), (low > truth).mean()
            yield (name, truth, n, method, 1 - below - above, below, above, np.median(high - low))


def main(path: str | None) -> None:
    rows = []
    for row in study():
        rows.append([*(f"{v:.4g}" if isinstance(v, float) else v for v in row), REPETITIONS, SEED])
        name, _, n, method, coverage, *_, width = row
        print(f"{name:22} n = {n:<4} {method:10} {coverage:.3f}  width {width:.3g}")
    if path:
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

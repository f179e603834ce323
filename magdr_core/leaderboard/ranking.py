"""Ranks: of each figure on each table, and their mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scipy.stats import rankdata

from magdr_core.leaderboard.entries import DISRUPTOR, KNOWING, METRICS, LeaderboardEntry
from magdr_core.results.cell import IDENTITY

REFERENCES = (IDENTITY, "noise")
"""Labels that stand in every table to be compared with, and are not ranked."""


def ranks(entries: Iterable[LeaderboardEntry]) -> dict[tuple[str, str], list[float]]:
    """By (board, component) its rank in every table: 1 is best, equals share the mean of theirs.

    A table is one metric of one suite; figures under different suites of attacks that know what they attack
    are different tables. A component that lacks a figure is last there: who was not attacked by what knows it
    has not survived it.
    """
    tables: dict[tuple[str, str, str, str], dict[str, float]] = defaultdict(dict)
    members: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for entry in entries:
        if entry.component in REFERENCES or not _better(entry.board, entry.metric):
            continue
        by = entry.attacks if entry.metric == KNOWING else ""
        tables[(entry.board, entry.suite, entry.metric, by)][entry.component] = entry.value
        members[(entry.board, entry.suite)][entry.component] = None
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (board, suite, metric, _), values in tables.items():
        sign = -1.0 if _better(board, metric) == "higher" else 1.0
        names = list(members[(board, suite)])
        scores = [sign * values[name] if name in values else float("inf") for name in names]
        for name, rank in zip(names, rankdata(scores), strict=True):
            found[(board, name)].append(float(rank))
    return dict(found)


def average_ranks(entries: Iterable[LeaderboardEntry]) -> dict[tuple[str, str], float]:
    """The mean rank by (board, component)."""
    return {about: sum(own) / len(own) for about, own in ranks(entries).items()}


def published_shape(
    entries: Sequence[LeaderboardEntry],
) -> Mapping[str, Mapping[str, list[dict[str, object]]]]:
    """Disruptors in the shape of the Proactive Defense Benchmark's data (ICML 2026): by generator and data
    set a list of {method, setting, mse, lpips, cidr, brisque, avgrank, rob, te}.

    `mse` is the output MSE in [-1,1] units. `lpips`, `cidr` and `brisque` are None: they are not measured.
    `rob` is the share that channels leave and `te` the share that a transferred attack has; that benchmark
    has not published its formulas for these. `avgrank` is the mean over the generator's own tables.
    """
    found: dict[str, dict[str, list[dict[str, object]]]] = defaultdict(lambda: defaultdict(list))
    places: dict[tuple[str, str, str], dict[str, dict[str, LeaderboardEntry]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for entry in entries:
        if entry.board == DISRUPTOR and entry.component not in REFERENCES:
            own = places[(entry.generator, entry.dataset, entry.suite)]
            own[entry.component][entry.metric] = entry
    for (generator, dataset, suite), methods in places.items():
        mean = average_ranks(e for e in entries if e.suite == suite)
        for method, figures in methods.items():
            first = next(iter(figures.values()))
            found[generator][dataset].append(
                {
                    "method": method,
                    "setting": first.use,
                    "mse": _value(figures, "disruption"),
                    **dict.fromkeys(("lpips", "cidr", "brisque")),
                    "avgrank": mean.get((DISRUPTOR, method)),
                    "rob": _value(figures, "rob"),
                    "te": _value(figures, "te"),
                }
            )
    return {generator: dict(sets) for generator, sets in found.items()}


def _value(figures: Mapping[str, LeaderboardEntry], metric: str) -> float | None:
    return figures[metric].value if metric in figures else None


def _better(board: str, metric: str) -> str:
    return next((m.better for m in METRICS[board] if m.name == metric), "")

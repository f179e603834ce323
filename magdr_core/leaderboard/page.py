"""The leaderboard as one static page, and as data."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from magdr_core.files.disk import write_atomically
from magdr_core.leaderboard.entries import (
    DISRUPTOR,
    KNOWING,
    METRICS,
    PURIFIER,
    BoardMetric,
    LeaderboardEntry,
)
from magdr_core.leaderboard.ranking import REFERENCES, average_ranks, published_shape
from magdr_core.report.template import rendered

PAGE = "index.html"

TITLES = {
    PURIFIER: "Purifiers: what of an attack is left behind them",
    DISRUPTOR: "Disruptors: what is left whatever stands in their way",
}

NOT_ATTACKED = "not attacked"
"""In place of an adaptive figure that nobody measured."""


@dataclass(frozen=True)
class BoardRow:
    """One component of a table."""

    component: str
    use: str
    rank: str
    reference: bool
    fields: list[tuple[str, str]]
    """Value and interval of every column."""


@dataclass(frozen=True)
class BoardTable:
    """What was measured on one suite."""

    title: str
    about: str
    columns: tuple[BoardMetric, ...]
    rows: list[BoardRow]


def write_board(out: Path, entries: Sequence[LeaderboardEntry]) -> list[Path]:
    """Write the page, and a JSON file for each generator in the shape of the Proactive Defense Benchmark.

    Args:
        out: a folder.

    Returns:
        the files.

    Raises:
        WriteError: one cannot be written.
    """
    page = render(entries)
    written = [out / PAGE]
    write_atomically(written[0], lambda p: p.write_text(page, encoding="utf-8", newline="\n"))
    for generator, sets in published_shape(entries).items():
        path = out / "data" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', generator)}.json"
        text = json.dumps(sets, indent=1, allow_nan=False) + "\n"
        write_atomically(path, partial(_write, text))
        written.append(path)
    return written


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def render(entries: Sequence[LeaderboardEntry]) -> str:
    """The page; the same entries give the same bytes."""
    boards = [(board, TITLES[board], tables(entries, board)) for board in METRICS]
    return rendered(
        "board.html",
        package="magdr_core.leaderboard",
        boards=[b for b in boards if b[2]],
        metrics=METRICS,
    )


def tables(entries: Iterable[LeaderboardEntry], board: str) -> list[BoardTable]:
    """A table for each suite: best mean rank first, references last."""
    entries = list(entries)
    mean = average_ranks(entries)
    suites: dict[str, list[LeaderboardEntry]] = defaultdict(list)
    for entry in entries:
        if entry.board == board:
            suites[entry.suite].append(entry)
    found = []
    for own in sorted(suites.values(), key=lambda own: (own[0].task, own[0].channel, own[0].suite)):
        columns = tuple(
            m for m in METRICS[board] if any(e.metric == m.name for e in own) or m.name == KNOWING
        )
        names = list(dict.fromkeys(e.component for e in own))
        names.sort(key=lambda name: (name in REFERENCES, mean.get((board, name), math.inf), name))
        rows = [_row(board, name, own, columns, mean) for name in names]
        first = own[0]
        channel = f", through {first.channel}" if first.channel else ""
        attacks = list(dict.fromkeys(a for e in own for a in e.attacks.split("+") if a))
        about = (
            f"{first.generator} on {first.dataset}; n = {max(e.n for e in own)}; "
            f"attacks: {', '.join(attacks)}; suite {first.suite}; magdr {first.version} {first.commit}"
        )
        found.append(BoardTable(f"{first.task}{channel}", about, columns, rows))
    return found


def _row(
    board: str,
    name: str,
    own: Sequence[LeaderboardEntry],
    columns: Sequence[BoardMetric],
    mean: dict[tuple[str, str], float],
) -> BoardRow:
    figures = {e.metric: e for e in own if e.component == name}
    rank = mean.get((board, name))
    shown = [_field(figures.get(metric.name), metric, name in REFERENCES) for metric in columns]
    use = next(iter(figures.values())).use
    return BoardRow(name, use, "" if rank is None else f"{rank:.2f}", name in REFERENCES, shown)


def _field(entry: LeaderboardEntry | None, metric: BoardMetric, reference: bool) -> tuple[str, str]:
    if entry is None:
        return (NOT_ATTACKED if metric.name == KNOWING and not reference else "", "")
    spread = ""
    if not (math.isnan(entry.low) or math.isnan(entry.high)):
        spread = f"{entry.low:.{metric.digits}f} to {entry.high:.{metric.digits}f}"
    return (f"{entry.value:.{metric.digits}f}", spread)

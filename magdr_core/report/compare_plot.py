"""Differences of one metric as points with whiskers around nought."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from magdr_core.compare import Compared
from magdr_core.compare.format import VERDICTS, figure, signed
from magdr_core.report.chart import Axis, Forest, ForestRow, Interval, MarkStyle, draw_forest

_MOST = 60
"""Of more rows than these the drawing has those that are largest beside their thresholds."""

_LOOKS = {
    "regression": ("c1", "diamond"),
    "improvement": ("c2", "circle"),
    "uncertain": ("c6 hollow", "square"),
    "small": ("c6", "circle"),
    "reference": ("c6 hollow", "triangle"),
}


def forest(rows: Sequence[Compared], title: str, name: str) -> Markup | None:
    """One line for each figure that differs; None with fewer than two. `name` is for ids."""
    differing = [row for row in rows if not row.identical]
    if len(differing) < 2:
        return None
    chosen = set(map(id, sorted(differing, key=_weight, reverse=True)[:_MOST]))
    drawn = [row for row in differing if id(row) in chosen]
    blocks: dict[str, list[Compared]] = {}
    for row in drawn:
        blocks.setdefault(row.place.where.partition(", ")[2], []).append(row)
    left, right = ("worse", "better") if drawn[0].higher_is_better else ("better", "worse")
    more = f" Of {len(differing)} differences the {_MOST} largest." if len(differing) > _MOST else ""
    largest = max(abs(v) for row in drawn for v in (_difference(row), *(_ends(row) or ())))
    chart = Forest(
        title=title,
        described="; ".join(_told(row) for own in blocks.values() for row in own) + "." + more,
        # Squared errors span decades, so theirs is logarithmic on both sides.
        x=Axis("B minus A", "signed" if largest > 20 else "linear", show=_tick),
        blocks=tuple((images, tuple(map(_row, own))) for images, own in blocks.items()),
        left=f"B {left}",
        right=f"B {right}",
    )
    return draw_forest(chart, name)


def _row(row: Compared) -> ForestRow:
    colour, shape = _LOOKS[row.verdict]
    return ForestRow(row.place.component, _told(row), _difference(row), _ends(row), MarkStyle(colour, shape))


def _difference(row: Compared) -> float:
    return row.figure.factor * row.difference


def _ends(row: Compared) -> Interval | None:
    if math.isnan(row.low) or math.isnan(row.high):
        return None
    return row.figure.factor * row.low, row.figure.factor * row.high


def _told(row: Compared) -> str:
    interval = f"{figure(row, row.low)} to {figure(row, row.high)}"
    return (
        f"{row.place.component}, {row.place.where}: {figure(row, row.a)} to {figure(row, row.b)}, difference "
        f"{signed(row, row.difference)} [{interval}], {VERDICTS[row.verdict]}"
    )


def _weight(row: Compared) -> float:
    return abs(row.difference) / (row.size or 1e-12)


def _tick(value: float) -> str:
    return f"{value:+,.10g}".replace("-", "\N{MINUS SIGN}") if value else "0"

"""Differences of one metric as points with whiskers around nought."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from magdr_core.compare import Compared
from magdr_core.compare.format import VERDICTS, figure, signed
from magdr_core.report import svg as plots

_WIDTH = 880
_LEFT, _RIGHT = 330, 840
_ROW, _HEAD, _FOOT = 20, 34, 46
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
    axis, ticks = _axis(drawn)
    height = _HEAD + _ROW * (len(drawn) + len(blocks)) + _FOOT
    bottom = height - _FOOT
    parts = [plots.line(axis(t), _HEAD - 8, axis(t), bottom, "grid" if t else "axis") for t in ticks]
    parts += [plots.text(axis(t), bottom + 18, _tick(t), "middle", "tick") for t in ticks]
    higher = drawn[0].higher_is_better
    left, right = ("worse", "better") if higher else ("better", "worse")
    parts.append(plots.text(_LEFT, _HEAD - 16, f"\N{LEFTWARDS ARROW} B {left}", "start", "tick"))
    parts.append(plots.text(_RIGHT, _HEAD - 16, f"B {right} \N{RIGHTWARDS ARROW}", "end", "tick"))
    parts.append(plots.text((_LEFT + _RIGHT) / 2, bottom + 38, "B minus A", "middle"))
    y, said = float(_HEAD), []
    for images, own in blocks.items():
        y += _ROW
        parts.append(plots.text(4, y - 6, _short(images, 50), "start", "bold"))
        for row in own:
            y += _ROW
            parts += _drawn(row, axis, y - 10)
            said.append(_told(row))
    more = f" Of {len(differing)} differences the {_MOST} largest." if len(differing) > _MOST else ""
    return plots.drawing(_WIDTH, height, title, "; ".join(said) + "." + more, parts, name)


def _drawn(row: Compared, axis: plots.Axis, y: float) -> list[Markup]:
    colour, shape = _LOOKS[row.verdict]
    x = axis(row.difference)
    parts = [plots.text(_LEFT - 14, y + 4, _short(row.place.component, 44), "end", "label")]
    if not (math.isnan(row.low) or math.isnan(row.high)):
        parts.append(plots.line(axis(row.low), y, axis(row.high), y, f"whisker {colour}"))
    parts.append(plots.mark(x, y, shape, f"mark {colour}", _told(row)))
    return parts


def _told(row: Compared) -> str:
    interval = f"{figure(row, row.low)} to {figure(row, row.high)}"
    return (
        f"{row.place.component}, {row.place.where}: {figure(row, row.a)} to {figure(row, row.b)}, difference "
        f"{signed(row, row.difference)} [{interval}], {VERDICTS[row.verdict]}"
    )


def _weight(row: Compared) -> float:
    return abs(row.difference) / (row.size or 1e-12)


def _axis(rows: Sequence[Compared]) -> tuple[plots.Axis, list[float]]:
    """Nought in the middle; squared errors span decades, so theirs is logarithmic on both sides."""
    ends = [v for row in rows for v in (row.difference, row.low, row.high) if not math.isnan(v)]
    largest = max(map(abs, ends)) or 1.0
    if largest > 20:
        decades = plots.decades(largest)[1:]
        ticks = [*(-t for t in reversed(decades)), 0.0, *decades]
        transform: Callable[[float], float] = _signed_log
    else:
        step = _step(largest)
        count = math.ceil(largest / step - 1e-9)
        ticks = [i * step for i in range(-count, count + 1)]
        transform = float
    return plots.Axis(ticks[0], ticks[-1], _LEFT, _RIGHT, transform), ticks


def _signed_log(value: float) -> float:
    return math.copysign(plots.log1p10(abs(value)), value)


def _step(largest: float) -> float:
    """1, 2 or 5 times a power of ten, two to five of which make up `largest`."""
    power = 10.0 ** math.floor(math.log10(largest / 2))
    return next(k * power for k in (1.0, 2.0, 5.0, 10.0) if largest / (k * power) <= 5)


def _tick(value: float) -> str:
    return f"{value:+,.10g}".replace("-", "\N{MINUS SIGN}") if value else "0"


def _short(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 1] + "…"

"""Charts as values: what is drawn over which axes. `draw` makes static SVG of it.

Everything told by colour is told by shape, dash or words, too. Libraries that write static SVG were looked at
and have neither error bars, a logarithm with room for nought, text alternatives, nor colours that follow the
page into the dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from markupsafe import Markup

from magdr_core.report import svg

Kind = Literal["linear", "log", "log1p", "signed"]
"""`log1p` has room for nought, `signed` for both signs."""

TRANSFORMS: dict[Kind, Callable[[float], float]] = {
    "linear": float,
    "log": math.log10,
    "log1p": svg.log1p10,
    "signed": lambda value: math.copysign(svg.log1p10(abs(value)), value),
}

_LEFT, _TOP, _BOTTOM = 76, 16, 54
"""Room for ticks and titles of the axes, in pixels."""

_KEY = 190
"""Room for the labels at the ends of lines."""

_APART = 34
"""Pixels between ticks of a given list, so that their figures do not touch."""


def plain(value: float) -> str:
    """A tick's figure."""
    return f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        title: what it measures, with its unit.
        low, high: where it ends; NaN: at the data, on a round figure.
        ticks: where it has ticks; empty: at round figures.
        show: how ticks are written.
    """

    title: str
    kind: Kind = "linear"
    low: float = math.nan
    high: float = math.nan
    ticks: tuple[float, ...] = ()
    show: Callable[[float], str] = field(default=plain, repr=False)

    def over(self, values: Sequence[float]) -> Axis:
        """With its ends and ticks, for data with these values."""
        low = min(values) if math.isnan(self.low) else self.low
        high = max(values) if math.isnan(self.high) else self.high
        if self.ticks:
            return replace(self, low=low, high=high if high > low else low + 1)
        if self.kind == "linear":
            ticks = round_ticks(low, high)
        elif self.kind == "log1p":
            ticks = svg.decades(high)
        elif self.kind == "signed":
            decades = svg.decades(max(abs(low), abs(high)))[1:]
            ticks = [*(-t for t in reversed(decades)), 0.0, *decades]
        else:
            whole = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = [10.0**k for k in whole]
        return replace(self, low=min(ticks[0], low), high=max(ticks[-1], high), ticks=tuple(ticks))

    def scale(self, start: float, end: float) -> svg.Scale:
        """From figures to pixels."""
        return svg.Scale(self.low, self.high, start, end, TRANSFORMS[self.kind])


def round_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that hold [low, high]: three to seven of them."""
    high = high if high > low else low + 1.0
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / 2))
    step = next(k * power for k in (1.0, 2.0, 5.0, 10.0) if span / (k * power) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A figure in the plane with its 95% intervals; `tip` is what a mouse shows, `label` stands beside it."""

    x: float
    y: float
    tip: str
    x_ends: Interval | None = None
    y_ends: Interval | None = None
    label: str = ""


@dataclass(frozen=True)
class MarkStyle:
    """Colour of the style sheet, shape, dash."""

    colour: str
    shape: str = "circle"
    dash: str = ""
    bold: bool = False
    radius: float = 4.5

    @classmethod
    def number(cls, index: int, *, bold: bool = False) -> MarkStyle:
        """A look for each series of a chart: none is like another until 140 are drawn."""
        colour, shape, dash = svg.style(index)
        return cls(colour, shape, "" if bold else dash, bold, 4)


@dataclass(frozen=True)
class Series:
    """Points of one look.

    Attributes:
        label: at the right end of its line; empty for none.
        joined: whether a line goes through the points, in their order.
        banded: whether the vertical intervals are a band along the line, in place of whiskers.
        apart: further points of the same look, drawn large and hollow, off the line.
    """

    look: MarkStyle
    points: tuple[Point, ...]
    label: str = ""
    joined: bool = False
    banded: bool = False
    apart: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Chart:
    """Series over two axes; `described` says in words what is drawn."""

    title: str
    described: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    width: int = 720
    height: int = 380


def draw(chart: Chart, name: str) -> Markup:
    """The chart as SVG; `name` makes the ids of its text alternatives."""
    right = chart.width - (_KEY if any(s.label for s in chart.series) else 16)
    bottom = chart.height - _BOTTOM
    every = [p for s in chart.series for p in (*s.points, *s.apart)]
    x_axis = chart.x.over([v for p in every for v in (p.x, *(p.x_ends or ()))])
    y_axis = chart.y.over([v for p in every for v in (p.y, *(p.y_ends or ()))])
    x, y = x_axis.scale(_LEFT + 10, right - 10), y_axis.scale(bottom - 6, _TOP + 6)
    inside = svg.PlotArea(_LEFT, _TOP, right, bottom)
    parts = [*_grid(x_axis, y_axis, x, y, inside)]
    for series in chart.series:
        parts += _line(series, x, y)
    for series in chart.series:
        parts += _marks(series, x, y)
    parts += _key(chart.series, x, y, inside)
    parts += _labels(chart.series, x, y, inside)
    return svg.drawing(chart.width, chart.height, chart.title, chart.described, parts, name)


def _grid(x_axis: Axis, y_axis: Axis, x: svg.Scale, y: svg.Scale, inside: svg.PlotArea) -> list[Markup]:
    parts, last = [], -math.inf
    for tick in x_axis.ticks:
        parts.append(svg.line(x(tick), inside.top, x(tick), inside.bottom, "grid"))
        if x(tick) - last >= _APART:
            parts.append(svg.text(x(tick), inside.bottom + 18, x_axis.show(tick), "middle", "tick"))
            last = x(tick)
    for tick in y_axis.ticks:
        parts.append(svg.line(inside.left, y(tick), inside.right, y(tick), "grid"))
        parts.append(svg.text(inside.left - 8, y(tick) + 4, y_axis.show(tick), "end", "tick"))
    parts.append(svg.line(inside.left, inside.bottom, inside.right, inside.bottom, "axis"))
    parts.append(svg.line(inside.left, inside.top, inside.left, inside.bottom, "axis"))
    middle = (inside.left + inside.right) / 2
    parts.append(svg.text(middle, inside.bottom + 42, x_axis.title, "middle", "title"))
    centre = (inside.top + inside.bottom) / 2
    turned = f"rotate(-90 14 {centre:g})"
    parts.append(svg.text(14, centre, y_axis.title, "middle", "title", transform=turned))
    return parts


def _line(series: Series, x: svg.Scale, y: svg.Scale) -> list[Markup]:
    parts, look = [], series.look
    if series.banded:
        held = [(p.x, p.y_ends) for p in series.points if p.y_ends]
        edge = [(x(a), y(ends[1])) for a, ends in held] + [(x(a), y(ends[0])) for a, ends in reversed(held)]
        drawn = " ".join(f"{a:g},{b:g}" for a, b in edge)
        parts.append(svg.element("polygon", points=drawn, class_=f"band {look.colour}"))
    if series.joined:
        bold = " bold" if look.bold else ""
        places = [(x(p.x), y(p.y)) for p in series.points]
        parts.append(svg.path(places, f"curve {look.colour}{bold}", look.dash))
    return parts


def _marks(series: Series, x: svg.Scale, y: svg.Scale) -> list[Markup]:
    parts, look = [], series.look
    for point in series.points:
        if point.y_ends and not series.joined:
            parts.append(_whisker(x(point.x), y(point.y_ends[0]), x(point.x), y(point.y_ends[1]), look))
        if point.x_ends:
            parts.append(_whisker(x(point.x_ends[0]), y(point.y), x(point.x_ends[1]), y(point.y), look))
    for point in series.points:
        class_ = f"mark {look.colour}"
        parts.append(svg.mark(x(point.x), y(point.y), look.shape, class_, point.tip, look.radius))
    for point in series.apart:
        class_ = f"mark {look.colour} hollow"
        parts.append(svg.mark(x(point.x), y(point.y), look.shape, class_, point.tip, 7))
    return parts


def _whisker(x1: float, y1: float, x2: float, y2: float, look: MarkStyle) -> Markup:
    return svg.line(x1, y1, x2, y2, f"whisker {look.colour}")


def _key(series: Sequence[Series], x: svg.Scale, y: svg.Scale, inside: svg.PlotArea) -> list[Markup]:
    """Labels beside the chart, each led to from its line's end."""
    named = [s for s in series if s.label and (s.points or s.apart)]
    ends = [(*s.points, *s.apart)[len(s.points) - 1 if s.points else 0] for s in named]
    heights = svg.spread([y(p.y) for p in ends], 15, inside.top, inside.bottom)
    parts = []
    for s, end, height in zip(named, ends, heights, strict=True):
        look, right = s.look, inside.right
        parts.append(svg.line(x(end.x) + 6, y(end.y), right + 6, height, f"lead {look.colour}"))
        parts.append(svg.mark(right + 13, height, look.shape, f"mark {look.colour}", s.label, 4))
        words = svg.text(right + 22, height + 4, s.label, class_=f"label{' bold' if look.bold else ''}")
        parts.append(words)
    return parts


def _labels(series: Sequence[Series], x: svg.Scale, y: svg.Scale, inside: svg.PlotArea) -> list[Markup]:
    """Labels beside points, off the points, the whiskers and each other."""
    named = [(s.look, p) for s in series for p in s.points if p.label]
    whiskers = []
    for s in series:
        for p in s.points:
            if p.y_ends and not s.joined:
                whiskers.append(svg.PlotArea(x(p.x) - 2, y(p.y_ends[1]), x(p.x) + 2, y(p.y_ends[0])))
            if p.x_ends:
                whiskers.append(svg.PlotArea(x(p.x_ends[0]), y(p.y) - 2, x(p.x_ends[1]), y(p.y) + 2))
    places = svg.placed([(x(p.x), y(p.y), p.label) for _, p in named], inside, whiskers)
    parts = []
    for (look, point), (tx, ty, anchor, away) in zip(named, places, strict=True):
        if away is not None:
            parts.append(svg.line(x(point.x), y(point.y), tx, ty - 4, "lead"))
        parts.append(svg.text(tx, ty, point.label, anchor, f"label{' bold' if look.bold else ''}"))
    return parts


# -- rows of differences ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ForestRow:
    """A line of a forest: a difference, its interval, and what it is of."""

    label: str
    tip: str
    value: float
    ends: Interval | None
    look: MarkStyle


@dataclass(frozen=True)
class Forest:
    """Differences around nought, under headings; `left` and `right` say what lies that way."""

    title: str
    described: str
    x: Axis
    blocks: tuple[tuple[str, tuple[ForestRow, ...]], ...]
    left: str
    right: str
    width: int = 880


_LABELS, _EDGE, _ROW, _HEAD, _FOOT = 330, 40, 20, 34, 46


def draw_forest(forest: Forest, name: str) -> Markup:
    """The forest as SVG; `name` makes the ids of its text alternatives."""
    rows = [row for _, own in forest.blocks for row in own]
    largest = max(abs(v) for row in rows for v in (row.value, *(row.ends or ())))
    axis = forest.x.over([-largest or -1.0, largest or 1.0])
    right = forest.width - _EDGE
    height = _HEAD + _ROW * (len(rows) + len(forest.blocks)) + _FOOT
    bottom, x = height - _FOOT, axis.scale(_LABELS, right)
    parts = [svg.line(x(t), _HEAD - 8, x(t), bottom, "grid" if t else "axis") for t in axis.ticks]
    parts += [svg.text(x(t), bottom + 18, axis.show(t), "middle", "tick") for t in axis.ticks]
    parts.append(svg.text(_LABELS, _HEAD - 16, f"\N{LEFTWARDS ARROW} {forest.left}", "start", "tick"))
    parts.append(svg.text(right, _HEAD - 16, f"{forest.right} \N{RIGHTWARDS ARROW}", "end", "tick"))
    parts.append(svg.text((_LABELS + right) / 2, bottom + 38, axis.title, "middle", "title"))
    y = float(_HEAD)
    for heading, own in forest.blocks:
        y += _ROW
        parts.append(svg.text(4, y - 6, _short(heading, 50), "start", "bold"))
        for row in own:
            y += _ROW
            parts.append(svg.text(_LABELS - 14, y - 6, _short(row.label, 44), "end", "label"))
            if row.ends:
                parts.append(_whisker(x(row.ends[0]), y - 10, x(row.ends[1]), y - 10, row.look))
            parts.append(svg.mark(x(row.value), y - 10, row.look.shape, f"mark {row.look.colour}", row.tip))
    return svg.drawing(forest.width, height, forest.title, forest.described, parts, name)


def _short(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 1] + "…"

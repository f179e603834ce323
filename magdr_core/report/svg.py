"""What charts are drawn with: scales, ticks, marks and labels as SVG, coloured by the style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

COLOURS = 7
"""Series colours of the style sheet; later series take them again with another shape and dash."""

_SHAPES = ("circle", "square", "diamond", "triangle", "cross")
_DASHES = ("", "7 4", "2 4", "9 3 2 3")
_LETTER = 6.4
"""Width of a letter at the drawings' 12 pixels, on the generous side."""


@dataclass(frozen=True)
class Scale:
    """A scale from figures to pixels; `transform` is monotone."""

    low: float
    high: float
    start: float
    end: float
    transform: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        low, high = self.transform(self.low), self.transform(self.high)
        share = (self.transform(min(max(value, self.low), self.high)) - low) / ((high - low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)


def log1p10(value: float) -> float:
    """A logarithm that has room for nought."""
    return math.log10(1 + value)


def decades(high: float) -> list[float]:
    """Ticks of a `log1p10` axis: 0, 1, 10, ... as far as `high`."""
    return [0.0, *(10.0**k for k in range(0, max(1, math.ceil(math.log10(max(high, 1.0)) + 1e-9)) + 1))]


def element(name: str, inner: str | Markup = "", /, **attributes: object) -> Markup:
    """One SVG element; `class_` is `class`, other underscores are hyphens, None leaves one out."""
    pairs = (
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), Markup("").join(pairs), inner)


def text(
    x: float, y: float, words: str, anchor: str = "start", class_: str = "", transform: str = ""
) -> Markup:
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_, transform=transform)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, dash: str = "") -> Markup:
    drawn = " ".join(f"{x:g},{y:g}" for x, y in points)
    return element("polyline", points=drawn, class_=class_, stroke_dasharray=dash)


def mark(x: float, y: float, shape: str, class_: str, title: str, radius: float = 4.5) -> Markup:
    """A point, with its figures as the tip that a mouse shows."""
    r, tip = radius, element("title", title)
    if shape == "circle":
        return element("circle", tip, cx=x, cy=y, r=r, class_=class_)
    if shape == "square":
        return element("rect", tip, x=x - r, y=y - r, width=2 * r, height=2 * r, class_=class_)
    corners = {
        "diamond": [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
        "triangle": [(0, -1.3), (1.2, 0.9), (-1.2, 0.9)],
        "cross": [
            *[(-0.35, -1.2), (0.35, -1.2), (0.35, -0.35), (1.2, -0.35), (1.2, 0.35), (0.35, 0.35)],
            *[(0.35, 1.2), (-0.35, 1.2), (-0.35, 0.35), (-1.2, 0.35), (-1.2, -0.35), (-0.35, -0.35)],
        ],
    }[shape]
    drawn = " ".join(f"{x + r * a:.1f},{y + r * b:.1f}" for a, b in corners)
    return element("polygon", tip, points=drawn, class_=class_)


def style(index: int) -> tuple[str, str, str]:
    """Class, shape and dash of a series: none shares all three with another until 140 are drawn."""
    return f"c{index % COLOURS}", _SHAPES[index % len(_SHAPES)], _DASHES[index % len(_DASHES)]


def drawing(
    width: int, height: int, title: str, described: str, parts: Iterable[Markup], name: str
) -> Markup:
    """The SVG; `name` makes the ids of its text alternatives."""
    head = element("title", title, id=f"{name}-title") + element("desc", described, id=f"{name}-desc")
    return element(
        "svg",
        head + Markup("").join(parts),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="plot",
    )


@dataclass(frozen=True)
class PlotArea:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: PlotArea) -> float:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across * down if across > 0 and down > 0 else 0.0


def placed(
    points: Sequence[tuple[float, float, str]], inside: PlotArea, others: Sequence[PlotArea] = ()
) -> list[tuple[float, float, str, float | None]]:
    """Where each point's label goes so that labels cover neither each other nor points, nor `others`.

    Returns (x, y, anchor, distance) per point; `distance` is None beside the point itself, and otherwise
    how far away the label is, so that a line should lead to it.
    """
    taken = [PlotArea(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points] + list(others)
    found = []
    for index, (x, y, words) in enumerate(points):
        width, best = len(words) * _LETTER, None
        for distance in (9.0, 22.0, 38.0, 56.0):
            for a, b in (
                (1, 0),
                (-1, 0),
                (0.7, -0.8),
                (0.7, 0.8),
                (-0.7, -0.8),
                (-0.7, 0.8),
                (0, -1),
                (0, 1),
            ):
                left = x + a * distance - (width if a < 0 else width / 2 if a == 0 else 0)
                middle = y + b * distance
                box = PlotArea(left, middle - 7, left + width, middle + 7)
                outside = width * 14 - box.overlap(inside)
                cost = sum(box.overlap(t) for i, t in enumerate(taken) if i != index) + 4 * outside
                if best is None or cost < best[0] - 1:
                    best = (cost, distance, box, a, middle)
            if best is not None and best[0] < 1:
                break
        assert best is not None
        _, distance, box, a, middle = best
        taken.append(box)
        anchor = "start" if a > 0 else "end" if a < 0 else "middle"
        at = box.left if a > 0 else box.right if a < 0 else (box.left + box.right) / 2
        found.append((round(at, 1), round(middle + 4, 1), anchor, distance if distance > 9 else None))
    return found


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights moved apart to at least `gap`, in the same order, within [low, high] if there is room."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = [0.0] * len(heights)
    floor = low
    for i in order:
        moved[i] = max(heights[i], floor)
        floor = moved[i] + gap
    ceiling = high
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved

"""Figure 3 of the paper on this run: F1 against the attacker's iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from magdr_core.report import svg as plots
from magdr_core.report.figures import AttackCondition, Figures, StepCurve
from magdr_core.report.formatting import Block, Table, TableLine, column, number, shown

_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 520, 16, 290
_F1 = number(3)


@dataclass(frozen=True)
class Figure3:
    """One attack's curves and the same figures as a table."""

    title: str
    drawing: Markup
    table: Table


def figure3(figures: Figures, task: str, name: str) -> list[Figure3]:
    """A drawing per attack that was looked at after more than one number of iterations; `name` is for ids."""
    magdr = figures.ours(task, "detector") or ""
    drawn = []
    for number_of, (attack, curves) in enumerate(figures.sweeps(task).items(), 1):
        steps = sorted({n for curve in curves for n, _ in curve.points})
        if len(steps) < 2:
            continue
        knows = f"{attack.attack}, {attack.knowledge or 'oblivious'}, {attack.strength}"
        n = min(f.n for curve in curves for _, f in curve.points)
        title = f"Figure 3, {task}: F1 against iterations of {knows}, n = {n}"
        drawing = _draw(title, curves, steps, magdr, f"{name}-{number_of}")
        drawn.append(Figure3(title, drawing, _table(figures, task, title, attack, curves, steps)))
    return drawn


def _draw(title: str, curves: Sequence[StepCurve], steps: Sequence[int], magdr: str, name: str) -> Markup:
    x = plots.Axis(steps[0], steps[-1], _LEFT + 12, _RIGHT - 12, math.log10)
    y = plots.Axis(0.0, 1.0, _BOTTOM, _TOP)
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(plots.line(_LEFT, y(share), _RIGHT, y(share), "grid"))
        parts.append(plots.text(_LEFT - 8, y(share) + 4, f"{share:g}", "end", "tick"))
    last = -math.inf
    for n in steps:
        if x(n) - last >= 26:  # figures of neighbouring ticks must not touch
            parts.append(plots.text(x(n), _BOTTOM + 18, str(n), "middle", "tick"))
            last = x(n)
        parts.append(plots.line(x(n), _BOTTOM, x(n), _BOTTOM + 4, "axis"))
    parts.append(plots.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"))
    parts.append(plots.text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, "attack iterations, log scale", "middle"))
    parts.append(plots.text(_LEFT - 44, _TOP - 4, "F1"))
    ends = [y(curve.points[-1][1].value) for curve in curves]
    heights = plots.spread(ends, 15, _TOP, _BOTTOM)
    said = []
    for index, (curve, height) in enumerate(zip(curves, heights, strict=True)):
        colour, shape, dash = plots.style(index)
        bold = " bold" if curve.component == magdr else ""
        points = [(x(n), y(f.value)) for n, f in curve.points]
        if bold:  # one band is readable, a dozen are not; the table has every interval
            banded = [(n, f) for n, f in curve.points if f.has_interval]
            edge = [(x(n), y(f.high)) for n, f in banded] + [(x(n), y(f.low)) for n, f in reversed(banded)]
            drawn = " ".join(f"{a:g},{b:g}" for a, b in edge)
            parts.append(plots.element("polygon", points=drawn, class_=f"band {colour}"))
        parts.append(plots.path(points, f"curve {colour}{bold}", "" if bold else dash))
        for (n, f), (a, b) in zip(curve.points, points, strict=True):
            tip = f"{curve.component}: F1 {_F1(f.value)} after {n}"
            parts.append(plots.mark(a, b, shape, f"mark {colour}", tip, 4))
        parts.append(plots.line(points[-1][0] + 6, points[-1][1], _RIGHT + 6, height, f"lead {colour}"))
        parts.append(plots.mark(_RIGHT + 13, height, shape, f"mark {colour}", curve.component, 4))
        parts.append(plots.text(_RIGHT + 22, height + 4, curve.component, class_=f"label{bold}"))
        (n0, first), (n1, end) = curve.points[0], curve.points[-1]
        said.append(f"{curve.component}: {_F1(first.value)} after {n0}, {_F1(end.value)} after {n1}")
    return plots.drawing(_WIDTH, _HEIGHT, title, "; ".join(said) + ".", parts, name)


def _table(
    figures: Figures,
    task: str,
    title: str,
    attack: AttackCondition,
    curves: Sequence[StepCurve],
    steps: Sequence[int],
) -> Table:
    columns = [column("detector", "f1", str(n), "iterations") for n in steps]
    seeds, lines = len(figures.seeds(task)), []
    for curve in curves:
        found = dict(curve.points)
        line = TableLine(curve.component)
        line.fields = [
            shown(found.get(n), c, failed=False, seeds=seeds) for n, c in zip(steps, columns, strict=True)
        ]
        lines.append(line)
    return Table(f"{title}, as figures", "Detector", columns, [Block("", "", lines)]).finished()

"""Figure 3 of the paper on this run: F1 against the attacker's iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from magdr_core.report.chart import Axis, Chart, MarkStyle, Point, Series, draw
from magdr_core.report.figures import AttackCondition, Figures, StepCurve
from magdr_core.report.formatting import Block, Table, TableLine, column, number, shown

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
    series, said = [], []
    for index, curve in enumerate(curves):
        ours = curve.component == magdr
        points = tuple(
            Point(
                n,
                f.value,
                f"{curve.component}: F1 {_F1(f.value)} after {n}",
                y_ends=(f.low, f.high) if f.has_interval else None,
            )
            for n, f in curve.points
        )
        # One band is readable, a dozen are not; the table has every interval.
        series.append(
            Series(MarkStyle.number(index, bold=ours), points, curve.component, joined=True, banded=ours)
        )
        (n0, first), (n1, end) = curve.points[0], curve.points[-1]
        said.append(f"{curve.component}: {_F1(first.value)} after {n0}, {_F1(end.value)} after {n1}")
    chart = Chart(
        title=title,
        described="; ".join(said) + ".",
        x=Axis("attack iterations, logarithmic", "log", ticks=tuple(float(n) for n in steps)),
        y=Axis("F1", low=0.0, high=1.0, ticks=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        series=tuple(series),
        height=340,
    )
    return draw(chart, name)


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

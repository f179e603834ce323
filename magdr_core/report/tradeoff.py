"""What a defense costs on clean images against what it leaves of an attack."""

from __future__ import annotations

from markupsafe import Markup

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.chart import Axis, Chart, Interval, MarkStyle, Point, Series, draw
from magdr_core.report.figures import CLEAN_IMAGES, IDENTITY, AttackCondition, Figures, FigureValue
from magdr_core.report.formatting import number

_mse = number(DEFINITIONS["defense", "mse_o"].digits)


def tradeoff(figures: Figures, task: str, attack: AttackCondition, name: str) -> Markup | None:
    """Every defense as a point; None with fewer than two. `name` is for ids."""
    found = [
        (component, cost, left)
        for component in figures.components(task, "defense")
        if (cost := figures.get(task, CLEAN_IMAGES, "defense", component, "mse_o"))
        and (left := figures.get(task, attack, "defense", component, "mse_o"))
    ]
    if len(found) < 2:
        return None
    series = tuple(
        Series(
            _look(figures, component),
            (
                Point(
                    cost.value,
                    left.value,
                    _told(component, cost, left),
                    x_ends=ends(cost),
                    y_ends=ends(left),
                    label=component,
                ),
            ),
        )
        for component, cost, left in found
    )
    chart = Chart(
        title=f"Damage on clean images against the error left of {attack.label}, {task}",
        described="; ".join(_told(*one) for one in found) + ".",
        x=Axis("damage: output MSE on clean images, squared levels", "log1p", low=0.0),
        y=Axis(f"output MSE left of {attack.label}", "log1p", low=0.0),
        series=series,
        width=560,
        height=400,
    )
    return draw(chart, name)


def ends(figure: FigureValue) -> Interval | None:
    """A figure's interval; None without one. A squared error is not below nought."""
    return (max(0.0, figure.low), max(0.0, figure.high)) if figure.has_interval else None


def _told(component: str, cost: FigureValue, left: FigureValue) -> str:
    return f"{component}: damage {_mse(cost.value)}, left {_mse(left.value)}"


def _look(figures: Figures, component: str) -> MarkStyle:
    if component == IDENTITY:
        return MarkStyle("c6", "square", radius=5)
    if component == ORACLE:
        return MarkStyle("c6 hollow", "diamond", radius=5)
    if figures.is_ours("defense", component):
        return MarkStyle("c1", "circle", bold=True, radius=5)
    return MarkStyle("c0", "triangle", radius=5)

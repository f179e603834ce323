"""What a defense costs on clean images against what it leaves of an attack."""

from __future__ import annotations

from markupsafe import Markup

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report import svg as plots
from magdr_core.report.figures import CLEAN_IMAGES, IDENTITY, AttackCondition, Figures, FigureValue
from magdr_core.report.formatting import number

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 700, 28, 384
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
    across = plots.decades(max(cost.value for _, cost, _ in found))
    down = plots.decades(max(left.value for _, _, left in found))
    x = plots.Axis(0.0, across[-1], _LEFT + 10, _RIGHT - 10, plots.log1p10)
    y = plots.Axis(0.0, down[-1], _BOTTOM - 6, _TOP, plots.log1p10)
    parts = [plots.line(x(v), _TOP, x(v), _BOTTOM, "grid") for v in across]
    parts += [plots.text(x(v), _BOTTOM + 18, f"{v:,.0f}", "middle", "tick") for v in across]
    parts += [plots.line(_LEFT, y(v), _RIGHT, y(v), "grid") for v in down]
    parts += [plots.text(_LEFT - 8, y(v) + 4, f"{v:,.0f}", "end", "tick") for v in down]
    parts.append(plots.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"))
    parts.append(plots.line(_LEFT, _TOP, _LEFT, _BOTTOM, "axis"))
    middle = (_LEFT + _RIGHT) / 2
    parts.append(plots.text(middle, _BOTTOM + 42, "damage: MSE (O) on clean images", "middle"))
    parts.append(plots.text(_LEFT - 56, _TOP - 14, f"MSE (O) left of {attack.label}; lower left is better"))
    family = {name for name, _, _ in found if figures.is_ours("defense", name)}
    places = plots.placed(
        [(x(cost.value), y(left.value), component) for component, cost, left in found],
        plots.PlotArea(_LEFT, _TOP - 8, _RIGHT, _BOTTOM),
    )
    said = []
    for (component, cost, left), (tx, ty, anchor, away) in zip(found, places, strict=True):
        kind, shape = _look(component, family)
        px, py = x(cost.value), y(left.value)
        if left.has_interval:
            parts.append(plots.line(px, y(left.low), px, y(left.high), f"whisker {kind}"))
        if cost.has_interval:
            parts.append(plots.line(x(cost.low), py, x(cost.high), py, f"whisker {kind}"))
        if away is not None:
            parts.append(plots.line(px, py, tx, ty - 4, "lead"))
        parts.append(plots.mark(px, py, shape, f"mark {kind}", _told(component, cost, left), 5))
        bold = " bold" if component in family else ""
        parts.append(plots.text(tx, ty, component, anchor, f"label{bold}"))
        said.append(_told(component, cost, left))
    title = f"Damage on clean images against the error left of {attack.label}, {task}"
    return plots.drawing(_WIDTH, _HEIGHT, title, "; ".join(said) + ".", parts, name)


def _told(component: str, cost: FigureValue, left: FigureValue) -> str:
    return f"{component}: damage {_mse(cost.value)}, left {_mse(left.value)}"


def _look(component: str, family: set[str]) -> tuple[str, str]:
    if component == IDENTITY:
        return "c6", "square"
    if component == ORACLE:
        return "c6 hollow", "diamond"
    return ("c1", "circle") if component in family else ("c0", "triangle")

"""Errors of single images, from the cells that kept them."""

from __future__ import annotations

from magdr_core.report.figures import AttackCondition, Figures
from magdr_core.results.cell import CellResult

Image = tuple[int, str]
"""Seed and id."""


def image_errors(figures: Figures, task: str, attack: AttackCondition, component: str) -> dict[Image, float]:
    """A defense's output errors in squared levels, by seed and image id; empty where no cell kept any."""
    found: dict[Image, float] = {}
    for cell in defense_cells(figures, task, attack, component):
        if cell.mse_o is not None:
            found |= {(cell.facts.seed, name): float(v) for name, v in cell.mse_o.items()}
    return found


def defense_cells(figures: Figures, task: str, attack: AttackCondition, component: str) -> list[CellResult]:
    """A defense's cells under an attack, of all seeds."""
    wanted = (task, "defense", component)
    return [
        cell
        for cell in figures.run.cells
        if (cell.facts.task, cell.facts.role, cell.facts.component) == wanted
        and figures.condition(cell.facts) == attack
    ]


def kept_pictures(figures: Figures, task: str) -> list[Image]:
    """The images that a task's pictures are of: the first ones of the first seed."""
    for cell in figures.run.cells:
        if cell.facts.task == task and cell.facts.role == "defense" and cell.mse_o:
            return [(cell.facts.seed, name) for name in cell.mse_o]
    return []

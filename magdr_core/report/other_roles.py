"""Plain tables of the roles that plugins bring: every figure of theirs, whatever it is."""

from __future__ import annotations

from magdr_core.measures.definitions import ROLES
from magdr_core.report.figures import CLEAN_IMAGES, Figures
from magdr_core.report.formatting import Block, Table
from magdr_core.report.table_model import NOISE, Source, lines, source, table
from magdr_core.results.forensic_grid import ROLE as FORENSIC


def other_roles(figures: Figures, task: str) -> list[tuple[str, Table]]:
    """A heading and a table for each role of a task that core does not know: a block of rows for clean images
    and one per attack, a column per figure and variant."""
    found = []
    for role in figures.roles:
        if role in ROLES or role == FORENSIC:  # which has tables of its own
            continue
        sources = _sources(figures, task, role)
        blocks = []
        for condition in (CLEAN_IMAGES, *figures.attacks(task)):
            noise = figures.is_noise(task, condition)
            title = "Clean images" if condition == CLEAN_IMAGES else condition.label
            detail = "; ".join(filter(None, [condition.strength, NOISE if noise else ""]))
            own = [
                line
                for line in lines(figures, task, role, condition, sources)
                if any(field.figure or field.failed for field in line.fields)
            ]
            blocks.append(Block(title, detail, own, compared=not noise))
        made = table(f"{role}, {task}", role.capitalize(), sources, blocks)
        if made is not None:
            found.append((role.capitalize(), made))
    return found


def _sources(figures: Figures, task: str, role: str) -> list[Source]:
    """A column for each figure and variant that the role has a value of, in order of definition."""
    definitions = figures.run.definitions
    found = []
    for figure in definitions.of(role):
        for variant in figures.variants(task, figure.name):
            detail = ", ".join(filter(None, [str(variant), figure.told.unit]))
            # The metric may be another role's, too.
            there = any(
                figures.get(task, condition, role, component, figure.name, variant)
                for condition in (CLEAN_IMAGES, *figures.attacks(task))
                for component in figures.components(task, role)
            )
            if there:
                name = figure.name
                found.append(source(role, name, name, detail, variant, definitions=definitions))
    return found

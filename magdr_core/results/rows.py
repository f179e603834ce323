"""From cells to the rows of results.csv."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from magdr_core.components.figure import ADJUSTED_P, LEVELS_PER_UNIT, Figure
from magdr_core.components.fingerprints import digest
from magdr_core.components.objective import SUCCESS
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DEFINITIONS, ROLES, Definitions
from magdr_core.measures.statistics import holm, sign_flip_p
from magdr_core.results.cell import CellResult, as_cells
from magdr_core.results.columns import OF_FACTS, Row, in_order
from magdr_core.results.measured import FigureInputs, Siblings, measured
from magdr_core.results.variant import Variant

_BASELINE = "baseline:"
"""What of a figure's needs the best baseline of the same table has."""


def result_rows(
    registry: str,
    cells: Iterable[CellResult | Mapping[str, Any]],
    figures: Iterable[Figure] = (),
    fault: Callable[[str], None] | None = None,
) -> list[Row]:
    """Every figure of a run, sorted; failed cells have none, nor has a figure that is not known (NaN).

    Args:
        cells: typed, or as JSON.
        figures: of the roles that plugins bring.
        fault: told, once each, what is wrong with a plugin's statistic, whose figures then have no rows.

    Raises:
        MagdrError: a plugin's statistic is at fault and nobody is there to be told.
    """
    said: set[str] = set()
    definitions = Definitions(figures) if figures else DEFINITIONS
    good = [cell for cell in as_cells(cells) if not cell.failed]
    siblings = Siblings(good)
    rows: list[Row] = []
    for cell in good:
        for one in measured(cell, siblings.of(cell), definitions):
            try:
                rows += _rows_of(registry, one)
            except MagdrError as e:
                if fault is None:
                    raise
                if str(e) not in said:
                    fault(str(e))
                said.add(str(e))
        if cell.facts.also:
            rows += _rows_besides(registry, cell, cell.facts.also)
    for figure in definitions:
        if name := _compared(figure):
            wanted = definitions.get(figure.role, name)
            best = max if wanted is not None and wanted.higher_is_better else min
            rows += _difference_rows(registry, good, figure, best)
    return in_order(rows)


def figures_of(
    rows: Iterable[Row], cells: Iterable[CellResult], figures: Iterable[Figure] = ()
) -> list[Figure]:
    """The definitions of a run's figures, for its manifest: those that rows have, and all of plugins' roles,
    whose cells may have failed."""
    there = {(row["role"], row["metric"]) for row in rows}
    others = {cell.facts.role for cell in cells} - set(ROLES)
    return [f for f in Definitions(figures) if (f.role, f.name) in there or f.role in others]


def _rows_of(registry: str, one: FigureInputs) -> Iterator[Row]:
    """The row of a figure, unless it is not known."""
    if not math.isnan(one.value):
        yield _row(registry, one, one.interval(_seed(one.cell, one.about)))


def _row(registry: str, one: FigureInputs, figures: tuple[float, float, float]) -> Row:
    cell, (value, low, high) = one.cell, figures
    return {
        "registry": registry,
        **{name: getattr(cell.facts, name) for name in OF_FACTS},
        "variant": one.variant.format(),
        "metric": one.figure.name,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n": len(one.identities),
        "seconds": cell.seconds,
        **(cell.facts.columns or {}),
    }


def _seed(cell: CellResult, about: str) -> int:
    """Random draws are seeded from the cell's key, so that a resumed run gives the same."""
    return int(digest([cell.key, about]), 16)


def _compared(figure: Figure) -> str:
    """What a figure has of the best baseline; empty of one that is no comparison."""
    return next((n.removeprefix(_BASELINE) for n in figure.needs if n.startswith(_BASELINE)), "")


def _difference_rows(
    registry: str, cells: Iterable[CellResult], figure: Figure, best: Callable[..., Any]
) -> Iterator[Row]:
    """A paired difference to the best baseline of the same table, or the p of a permutation test of it,
    adjusted after Holm for all that the table compares.

    The baseline is chosen on these very images, which favours the baseline; the best one is compared with
    the second best.
    """
    tables: dict[tuple[Any, ...], list[CellResult]] = {}
    for cell in cells:
        f = cell.facts
        if f.role == figure.role and cell.array(_compared(figure)) is not None:
            same = (f.task, f.dataset, f.attack, f.eps, f.steps, f.seed, f.slice_role, f.channel)
            tables.setdefault(same, []).append(cell)
    for table in tables.values():
        found = [one for cell in table if (one := _beside_best(cell, table, figure, best)) is not None]
        if figure.statistic != ADJUSTED_P:
            for one in found:
                yield from _rows_of(registry, one)
            continue
        p = [
            sign_flip_p(np.subtract(*one.arrays), one.cell.of_identities, _seed(one.cell, f"p {one.about}"))
            for one in found
        ]
        for one, adjusted in zip(found, holm(np.array(p)).tolist(), strict=True):
            yield _row(registry, one, (adjusted, math.nan, math.nan))


def _beside_best(
    cell: CellResult, table: Sequence[CellResult], figure: Figure, best: Callable[..., Any]
) -> FigureInputs | None:
    """A figure of a cell and the baseline with the best mean, of those that are not the cell itself; None
    where there is no such baseline."""
    rivals = [c for c in table if c.facts.baseline and c is not cell]
    if not rivals:
        return None
    rival = best(rivals, key=lambda c: float(np.mean(c.array(_compared(figure)))))
    arrays: list[np.ndarray[Any, Any]] = []
    for need in figure.needs:
        values = (rival if need.startswith(_BASELINE) else cell).array(need.removeprefix(_BASELINE))
        if values is None:
            return None
        arrays.append(values)
    return FigureInputs(cell, figure, Variant.to(rival.facts.component), tuple(arrays), f"to {rival.key}")


def _rows_besides(registry: str, cell: CellResult, role: str) -> Iterator[Row]:
    """What an attack does to no defense at all, as the attack's own figures: output MSE in [-1,1] units."""
    errors = cell.array("mse_o")
    assert errors is not None, "what is done to an output has an error"
    disruption = errors / LEVELS_PER_UNIT**2
    of_attack = replace(
        cell,
        facts=replace(cell.facts, role=role, component=cell.facts.attack),
        values={"mse_o": disruption, "success": (disruption > SUCCESS).astype(float)},
    )
    for one in measured(of_attack, {}):
        yield from _rows_of(registry, replace(one, about=f"{role} {one.about}"))

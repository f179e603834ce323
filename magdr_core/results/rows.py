"""From cells to the rows of results.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from magdr_core.components.figure import Figure
from magdr_core.components.fingerprints import digest
from magdr_core.components.objective import SUCCESS
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DEFINITIONS, LEVELS_PER_UNIT, ROLES, Definitions
from magdr_core.measures.statistics import holm, sign_flip_p
from magdr_core.results.cell import ADAPTIVE, IDENTITY, CellResult, as_cells
from magdr_core.results.measured import FigureInputs, Siblings, measured
from magdr_core.results.variant import Variant

COLUMNS = (
    *("registry", "task", "generator", "dataset", "attack", "eps", "steps", "knowledge", "role"),
    *("component", "variant", "metric", "value", "ci_low", "ci_high", "n", "seed", "seconds"),
)
_ORDER = (
    *("task", "generator", "dataset", "role", "attack", "eps", "steps", "seed", "knowledge", "component"),
    *("variant", "metric"),
)

Row = dict[str, Any]

_UNDEFENDED = {"mse_o": "attack", "median_mse_o": "attack median", "success": "attack success"}
"""What seeds the intervals of an adaptive attack's own figures."""


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
        if cell.facts.slice_role == ADAPTIVE and cell.facts.component == IDENTITY:
            rows += _undefended_rows(registry, cell)
    rows += _difference_rows(registry, [c for c in good if c.facts.role == "defense"])
    return sorted(rows, key=lambda row: tuple(row[name] for name in _ORDER))


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
        yield _row(registry, one.cell, one.figure.name, one.interval(_seed(one.cell, one.about)), one.variant)


def _row(
    registry: str, cell: CellResult, metric: str, figures: tuple[float, float, float], variant: Variant
) -> Row:
    facts = cell.facts
    value, low, high = figures
    return {
        "registry": registry,
        "task": facts.task,
        "generator": facts.generator,
        "dataset": facts.dataset,
        "attack": facts.attack,
        "eps": facts.eps,
        "steps": facts.steps,
        "knowledge": facts.knowledge,
        "role": facts.role,
        "component": facts.component,
        "variant": variant.format(),
        "metric": metric,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n": len(cell.ids),
        "seed": facts.seed,
        "seconds": cell.seconds,
        **(facts.columns or {}),
    }


def _seed(cell: CellResult, about: str) -> int:
    """Random draws are seeded from the cell's key, so that a resumed run gives the same."""
    return int(digest([cell.key, about]), 16)


def _difference_rows(registry: str, cells: Sequence[CellResult]) -> Iterator[Row]:
    """Paired differences of the output error to the best baseline of the same table: negative is better.

    The baseline is chosen on these very images, which favours the baseline; the best one is compared with
    the second best. `mse_o_difference_p` is the permutation test's p, adjusted after Holm for all the
    defenses of the table.
    """
    figure, adjusted_p = (DEFINITIONS["defense", f"mse_o_difference{end}"] for end in ("", "_p"))
    tables: dict[tuple[Any, ...], list[CellResult]] = {}
    for cell in cells:
        f = cell.facts
        same = (f.task, f.dataset, f.attack, f.eps, f.steps, f.seed, f.slice_role)
        tables.setdefault(same, []).append(cell)
    for table in tables.values():
        compared = [(cell, best) for cell in table if (best := _best_baseline(cell, table)) is not None]
        tests = []
        for cell, best in compared:
            about, variant = f"to {best.key}", Variant.to(best.facts.component)
            errors = _errors(cell), _errors(best)
            yield from _rows_of(registry, FigureInputs(cell, figure, variant, errors, about))
            seed = _seed(cell, f"p {about}")
            tests.append((cell, variant, sign_flip_p(errors[0] - errors[1], cell.of_identities, seed)))
        adjusted = holm(np.array([p for _, _, p in tests]))
        for (cell, variant, _), p in zip(tests, adjusted.tolist(), strict=True):
            yield _row(registry, cell, adjusted_p.name, (p, math.nan, math.nan), variant)


def _errors(cell: CellResult) -> np.ndarray[Any, Any]:
    errors = cell.array("mse_o")
    assert errors is not None, "every defense has output errors"
    return errors


def _best_baseline(cell: CellResult, table: Sequence[CellResult]) -> CellResult | None:
    """The baseline with the least mean output error, of those that are not the cell itself."""
    rivals = [c for c in table if c.facts.baseline and c is not cell]
    return min(rivals, key=lambda c: float(np.mean(_errors(c))), default=None)


def _undefended_rows(registry: str, cell: CellResult) -> Iterator[Row]:
    """The same effort against no defense, as an attack's own figures: output MSE in [-1,1] units."""
    disruption = _errors(cell) / LEVELS_PER_UNIT**2
    as_attack = replace(
        cell,
        facts=replace(cell.facts, role="attack", component=cell.facts.attack),
        values={"mse_o": disruption, "success": (disruption > SUCCESS).astype(float)},
    )
    for one in measured(as_attack, {}):
        yield from _rows_of(registry, replace(one, about=_UNDEFENDED[one.figure.name]))


def to_csv(rows: Sequence[Row]) -> str:
    """results.csv: exactly `COLUMNS`, floats with 9 significant digits, no interval as an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_shown(row[c]) for c in COLUMNS])
    return out.getvalue()


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value

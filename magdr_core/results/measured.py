"""What the figures of a cell are computed from: one rule for results.csv and for comparisons of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from magdr_core.components.figure import Figure
from magdr_core.measures.definitions import DECISIONS, DEFINITIONS, Definitions
from magdr_core.measures.statistics import Array, Statistic, bootstrap_values, statistic_of
from magdr_core.results.cell import ADAPTIVE, BENIGN, CLEAN, NOISE, CellResult
from magdr_core.results.variant import BEST_F1, Variant

_THRESHOLDS = {BEST_F1: "f1"}
"""What a cell calls the threshold of an operating point; others are set for a rate, `fpr`."""


@dataclass(frozen=True, eq=False)
class FigureInputs:
    """A figure of a cell before it is computed.

    Attributes:
        arrays: `[n]` each, what the statistic is given; none of a figure of the whole cell.
        about: with the cell's key it seeds the resamples of the interval.
    """

    cell: CellResult
    figure: Figure
    variant: Variant
    arrays: tuple[Array, ...]
    about: str

    @property
    def statistic(self) -> Statistic:
        """Raises MagdrError if a plugin's cannot be had."""
        return statistic_of(self.figure)

    @property
    def value(self) -> float:
        """NaN where the figure is not known."""
        if not self.arrays:
            return math.nan if self.cell.forwards is None else self.cell.forwards
        return float(self.statistic(*self.arrays))

    def interval(self, seed: int) -> tuple[float, float, float]:
        """(value, low, high): the 95% bootstrap interval over identities; NaN ends where there is none."""
        if not self.arrays:
            return self.value, math.nan, math.nan
        statistic = self.statistic

        def of_rows(rows: Array, *, axis: int) -> Array:
            found: Array = statistic(*(values[rows] for values in self.arrays))
            return found

        rows = np.arange(len(self.cell.ids))
        return bootstrap_values(rows, of_rows, self.cell.of_identities, seed)


class Siblings:
    """The cells of a run, by what they are of: figures of detection take clean images and noise, too."""

    def __init__(self, cells: Iterable[CellResult]) -> None:
        self._found: dict[tuple[object, ...], list[CellResult]] = {}
        for cell in cells:
            self._found.setdefault(_same(cell), []).append(cell)

    def of(self, cell: CellResult) -> dict[str, CellResult]:
        """The same component's cells on `clean` images, and on `noise` of the attack's strength."""
        found: dict[str, CellResult] = {}
        for other in self._found.get(_same(cell), ()):
            if other.facts.slice_role == CLEAN:
                found["clean"] = other
            elif other.facts.noise and math.isclose(other.facts.eps, cell.facts.eps):
                found["noise"] = other
        if cell.facts.noise:
            found.pop("noise", None)
        return found


def _same(cell: CellResult) -> tuple[object, ...]:
    facts = cell.facts
    return (facts.task, facts.role, facts.component, facts.seed, facts.dataset)


def measured(
    cell: CellResult, others: Mapping[str, CellResult], definitions: Definitions = DEFINITIONS
) -> Iterator[FigureInputs]:
    """Every figure of a cell that its values allow, but paired differences.

    Args:
        others: of :class:`Siblings`.
        definitions: with the figures of the roles that plugins bring.

    Raises:
        MagdrError: a plugin's statistic cannot be had, when it is asked for.
    """
    found = _of_detector if cell.facts.role == "detector" else _of_values
    for one in found(cell, others, definitions):
        # A point of a sweep says so, whatever the figure's own variant is.
        yield replace(one, variant=one.variant.with_(cell.facts.variant)) if cell.facts.variant else one


def _of_values(
    cell: CellResult, others: Mapping[str, CellResult], definitions: Definitions
) -> Iterator[FigureInputs]:
    """Every figure whose values are there, of the component's own and of each variant's."""
    figures = definitions.of(cell.facts.role)
    for mode in cell.variants:
        for figure in figures:
            arrays = _arrays(figure, cell, others, mode=mode)
            if arrays:
                yield FigureInputs(cell, figure, Variant.parse(mode), arrays, figure.name)
    yield from (FigureInputs(cell, figure, Variant(), (), "") for figure in _costs(cell, definitions))


def _of_detector(
    cell: CellResult, others: Mapping[str, CellResult], definitions: Definitions
) -> Iterator[FigureInputs]:
    """Shares and decisions at each operating point, rankings, and what gets past."""
    role = cell.facts.slice_role
    strict = Variant.at(cell.fpr or 0.0)
    points = (strict, Variant(BEST_F1))
    make = partial(_made, cell, others, definitions)
    if role == BENIGN:
        yield from make("fpr_benign", Variant.parse(cell.facts.edit), "fpr_benign")
        return
    if role == CLEAN:
        for point in points:
            yield from make("fpr_clean", point, f"fpr_clean {point}", point=point)
    elif role != NOISE and "clean" in others:
        for figure in definitions.of("detector"):
            if figure.name in DECISIONS:
                for point in points:
                    yield from make(figure.name, point, f"{figure.name} {point}", point=point)
            elif set(figure.needs) <= {"score", "clean:score", "noise:score"} and figure.needs:
                yield from make(figure.name, Variant(), figure.name)
    if role == CLEAN or (role != NOISE and "clean" in others):
        yield from (FigureInputs(cell, figure, Variant(), (), "") for figure in _costs(cell, definitions))
    if role == ADAPTIVE:
        for mode in cell.variants:
            if mode or "clean" not in others:  # the pool's recall stands among the decisions
                at = Variant(strict.point, mode)
                yield from make("recall", at, f"recall {mode}", mode=mode)
            for name in ("mse_o", "mse_o_undetected", "success_undetected"):
                yield from make(name, Variant.parse(mode), f"{name} {mode}", mode=mode)
        yield from make("kept_at_95_evasion", Variant(), "kept")


def _made(
    cell: CellResult,
    others: Mapping[str, CellResult],
    definitions: Definitions,
    name: str,
    variant: Variant,
    about: str,
    *,
    point: Variant | None = None,
    mode: str = "",
) -> Iterator[FigureInputs]:
    """A detector's figure, if its values are there."""
    figure = definitions[cell.facts.role, name]
    arrays = _arrays(figure, cell, others, mode=mode, point=point)
    if arrays:
        yield FigureInputs(cell, figure, variant, arrays, about)


def _costs(cell: CellResult, definitions: Definitions) -> list[Figure]:
    """Figures of the whole cell."""
    figure = definitions.get(cell.facts.role, "forwards")
    return [] if figure is None else [figure]


def _arrays(
    figure: Figure,
    cell: CellResult,
    others: Mapping[str, CellResult],
    *,
    mode: str = "",
    point: Variant | None = None,
) -> tuple[Array, ...] | None:
    """The values that a figure needs, of the cell's samples in its order; None where some are missing."""
    found: list[Array] = []
    for need in figure.needs:
        sibling, _, name = need.rpartition(":")
        source = others.get(sibling) if sibling else cell
        if source is None:
            return None
        own, _, plain = name.rpartition("/")
        values = _values(source, own or ("" if sibling else mode), plain, cell, point)
        rows = _rows(source, cell)
        if values is None or rows is None:
            return None
        found.append(values if source is cell else values[rows])
    return tuple(found)


def _values(
    source: CellResult, mode: str, name: str, cell: CellResult, point: Variant | None
) -> Array | None:
    """A cell's values of a name, or which of its samples are flagged at an operating point of `cell`."""
    key = f"{mode}/{name}" if mode else name
    stored = source.array(key)
    if stored is not None or name != "flagged":
        return stored
    scores = source.array(f"{mode}/score" if mode else "score")
    threshold = cell.thresholds.get(_THRESHOLDS.get(point.point if point else "", "fpr"))
    return None if scores is None or threshold is None else scores > threshold


def _rows(source: CellResult, cell: CellResult) -> Array | None:
    """Where a cell's samples are in another, which may have more; None if it lacks some."""
    if source is cell:
        return np.arange(len(cell.ids))
    at = {name: i for i, name in enumerate(source.ids)}
    known = all(name in at for name in cell.ids)
    return np.array([at[name] for name in cell.ids]) if known else None

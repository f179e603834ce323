"""What the figures of a cell are computed from: one rule for results.csv and for comparisons of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from magdr_core.components.figure import Figure
from magdr_core.measures.definitions import DEFINITIONS, Definitions
from magdr_core.measures.derived_figures import FORWARDS
from magdr_core.measures.intervals import Statistic, interval
from magdr_core.measures.statistics import statistic_of
from magdr_core.measures.thresholds import Array
from magdr_core.results.cell import CellResult
from magdr_core.results.variant import BEST_F1, Variant

_THRESHOLDS = {BEST_F1: "f1"}
"""What a cell calls the threshold of an operating point; others are set for a rate, `fpr`."""


@dataclass(frozen=True, eq=False)
class FigureInputs:
    """A figure of a cell before it is computed.

    Attributes:
        arrays: `[n]` each, what the statistic is given; none of a figure of the whole cell.
        about: with the cell's key it seeds the resamples of the interval.
        among: bool, which of the cell's samples these are; all if None.
    """

    cell: CellResult
    figure: Figure
    variant: Variant
    arrays: tuple[Array, ...]
    about: str
    among: Array | None = None

    @property
    def identities(self) -> Array:
        """`[n]`, whose pictures the samples are."""
        every = self.cell.of_identities
        return every if self.among is None else every[self.among]

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
        """(value, low, high): the 95% interval over identities; NaN ends where there is none."""
        if not self.arrays:
            return self.value, math.nan, math.nan
        return interval(self.statistic, self.arrays, self.identities, seed)


DIRECT = "direct"
"""The sibling of a cell behind a channel that has the same images without it."""

UNDEFENDED = "undefended"
"""The sibling of a cell that says what the attack by itself does with the same images."""


class Siblings:
    """The cells of a run, by what they are of: figures of detection take clean images and noise, too."""

    def __init__(self, cells: Iterable[CellResult]) -> None:
        self._found: dict[tuple[object, ...], list[CellResult]] = {}
        self._attacks: dict[tuple[object, ...], CellResult] = {}
        self._direct: dict[tuple[object, ...], CellResult] = {}
        for cell in cells:
            self._found.setdefault(_same(cell), []).append(cell)
            if cell.facts.of_attack:
                self._attacks[_images(cell)] = cell
            if not cell.facts.channel:
                self._direct[_published(cell)] = cell

    def of(self, cell: CellResult) -> dict[str, CellResult]:
        """The same component's cells by what their images are (:attr:`Facts.images`): on clean ones, say, or
        on other ones of the cell's own strength, noise; and the attack's own cell on its images. Behind a
        channel all of these went through it, too, and one more did not."""
        found: dict[str, CellResult] = {}
        if cell.facts.channel and (direct := self._direct.get(_published(cell))) is not None:
            found[DIRECT] = direct
        if (attack := self._attacks.get(_images(cell))) is not None:
            found[UNDEFENDED] = attack
        for other in self._found.get(_same(cell), ()):
            images, eps = other.facts.images, other.facts.eps
            if other.facts.beside not in ("", cell.facts.attack):
                continue
            if not eps or (images != cell.facts.images and math.isclose(eps, cell.facts.eps)):
                found[images] = other
        return found


def _same(cell: CellResult) -> tuple[object, ...]:
    facts = cell.facts
    return (facts.task, facts.role, facts.component, facts.seed, facts.dataset, facts.channel)


def _images(cell: CellResult) -> tuple[object, ...]:
    f = cell.facts
    return (f.task, f.dataset, f.seed, f.attack, f.eps, f.steps, f.slice_role, f.channel)


def _published(cell: CellResult) -> tuple[object, ...]:
    """What a component's cells behind a channel and without it have in common."""
    f = cell.facts
    return (f.role, f.component, *_images(cell)[:-1])


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
    for figure in definitions.of(cell.facts.role):
        if not figure.taken_on(cell.facts.slice_role):
            continue
        if not figure.needs:
            if figure.name == FORWARDS:
                yield FigureInputs(cell, figure, _besides(cell, Variant()), (), "")
            continue
        for mode in cell.variants if figure.modes else ("",):
            for point in _points(cell, figure, mode):
                arrays = _arrays(figure.needs, cell, others, mode=mode, point=point)
                among = _among(figure, cell, others)
                if arrays and (among is None or among.any()):
                    if among is not None:
                        arrays = tuple(values[among] for values in arrays)
                    variant = Variant.parse(mode) if point is None else Variant(point.point, mode)
                    about = figure.name if point is None else f"{figure.name} {point}"
                    yield FigureInputs(cell, figure, _besides(cell, variant), arrays, about, among)


def _among(figure: Figure, cell: CellResult, others: Mapping[str, CellResult]) -> Array | None:
    """bool `[n]`, the samples that a figure is of, none if nobody knows which; None if it is of all."""
    if not figure.among:
        return None
    found = _arrays((figure.among,), cell, others)
    return np.zeros(len(cell.ids), bool) if found is None else found[0] > 0.5


def _points(cell: CellResult, figure: Figure, mode: str) -> tuple[Variant | None, ...]:
    """The operating points that a figure is taken at; of a mode, the one set for a rate of false alarms."""
    if not figure.points:
        return (None,)
    strict = Variant.at(cell.fpr or 0.0)
    return (strict,) if mode else (strict, Variant(BEST_F1))


def _besides(cell: CellResult, variant: Variant) -> Variant:
    """A point of a sweep says so, whatever the figure's own variant is."""
    return variant.with_(cell.facts.besides) if cell.facts.besides else variant


def _arrays(
    needs: Iterable[str],
    cell: CellResult,
    others: Mapping[str, CellResult],
    *,
    mode: str = "",
    point: Variant | None = None,
) -> tuple[Array, ...] | None:
    """The values that a figure needs, of the cell's samples in its order; None where some are missing."""
    found: list[Array] = []
    for need in needs:
        sibling, _, name = need.rpartition(":")
        source = others.get(sibling) if sibling else cell
        if source is None:
            return None
        own, _, plain = name.rpartition("/")
        values = _values(source, own or ("" if sibling else mode), plain, cell, point)
        if values is None and sibling and mode and not own:
            values = _values(source, mode, plain, cell, point)
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

"""Numbers as a reader sees them, and tables of them with the best of each column marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from magdr_core.components.figure import Figure
from magdr_core.measures.definitions import DEFINITIONS, Definitions
from magdr_core.results.frame import AttackCondition, FigureValue

Format = Callable[[float], str]
MISSING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"

FEW = 100
"""Below so many images per seed a reader is told that the intervals are wide, and what shares are of."""

Kind = Literal["", "reference", "bound"]


def number(digits: int) -> Format:
    """Fixed decimals, with commas between thousands."""

    def show(value: float) -> str:
        if math.isinf(value):
            return "∞" if value > 0 else f"{_MINUS}∞"
        text = f"{value:,.{digits}f}"
        # A rounded "-0.00" says nothing that "0.00" does not.
        return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", _MINUS)

    return show


def percent(value: float) -> str:
    return f"{number(1)(100 * value)}%"


def whole_percent(value: float) -> str:
    return f"{number(0)(100 * value)}%"


def count(value: float) -> str:
    """A mean of whole numbers: a decimal only where there is one."""
    return number(0 if abs(value - round(value)) < 0.05 else 1)(value)


def seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def values_of(figure: Figure) -> Format:
    """Values of results.csv as a reader is told them."""
    show = number(figure.told.digits)
    return lambda value: show(figure.factor * value)


def in_words(figure: FigureValue) -> str:
    """What so few images say of a share, in words: "0 of 8, up to 37%"; empty of many images or seeds."""
    part = round(figure.value * figure.n)
    if figure.n >= FEW or figure.seeds > 1 or abs(figure.value * figure.n - part) > 1e-6:
        return ""
    told = f"{part} of {figure.n}"
    if not figure.has_interval:
        return told
    low, high = whole_percent(figure.low), whole_percent(figure.high)
    if part == 0:
        return f"{told}, up to {high}"
    return f"{told}, at least {low}" if part == figure.n else f"{told}, {low} to {high}"


@dataclass
class Shown:
    """One field of a table."""

    figure: FigureValue | None = None
    text: str = MISSING
    interval: str = ""
    note: str = ""
    best: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Column:
    """A column: its head, which direction is better (None: neither), and how its numbers are written."""

    title: str
    detail: str = ""
    better: Literal["higher", "lower"] | None = None
    show: Format = field(default=number(1), repr=False)
    marked: bool = True
    """Whether the best of it is marked."""
    words: bool = False
    """Whether its fields are words, which stand at the left."""
    wide: bool = False
    """Whether its fields have notes that should not be broken into many lines."""
    reference_competes: bool = True
    """False where the undefended reference is best by definition, so that marking it would say nothing."""
    group: str = ""
    """What stands above it and its neighbours of the same group."""
    factor: float = 1.0
    """By what values are multiplied for the page's unit."""


def column(
    role: str,
    metric: str,
    title: str,
    detail: str = "",
    *,
    show: Format | None = None,
    judged: bool = True,
    definitions: Definitions = DEFINITIONS,
    **more: Any,
) -> Column:
    """A column of a figure: which way is better and how many digits it has its definition says.

    Args:
        show: in place of a number with those digits, percent for shares, say.
        judged: False where being better is no merit.
        more: further fields of :class:`Column`.
    """
    figure = definitions[role, metric]
    better = figure.better if judged and figure.better != "neither" else None
    show = show or number(figure.told.digits)
    return Column(title, detail, better, show, **{"factor": figure.factor, **more})


@dataclass(frozen=True)
class Badge:
    """What the sanity checks made of a row, why, and where on the page the evidence is."""

    text: str
    why: str
    place: str


@dataclass
class TableLine:
    """A row: a component, and what marks it off from the others."""

    label: str
    detail: str = ""
    kind: Kind = ""
    fields: list[Shown] = field(default_factory=list)
    badge: Badge | None = None
    component: str = ""


@dataclass
class Block:
    """Rows under a common heading, compared with each other."""

    title: str
    detail: str
    lines: list[TableLine]
    compared: bool = True
    condition: AttackCondition | None = None
    """The attack that all of it is of, where it is of one."""


@dataclass
class Table:
    caption: str
    head: str
    columns: list[Column]
    blocks: list[Block]
    note: str = ""
    detail: str = ""
    """Beside the caption, smaller."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """What stands above neighbouring columns, and above how many; empty if nothing does."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found if any(name for name, _ in found) else []

    def finished(self) -> Table:
        """With the best field of every column and block marked."""
        for block in self.blocks:
            if block.compared:
                for index, column in enumerate(self.columns):
                    _mark([(line.kind, line.fields[index]) for line in block.lines], column)
        return self


def shown(figure: FigureValue | None, column: Column, *, failed: bool, seeds: int) -> Shown:
    """A figure as text; missing ones say whether their cell failed."""
    if figure is None:
        return Shown(text="failed", failed=True) if failed else Shown()
    figure = figure.times(column.factor)
    words = in_words(figure) if column.show is percent else ""
    if words:
        text, interval = whole_percent(figure.value), words
    else:
        text, interval = column.show(figure.value), ""
        if figure.has_interval:
            interval = f"{column.show(figure.low)} to {column.show(figure.high)}"
            interval = "" if interval == f"{text} to {text}" else interval
    note = f"{figure.seeds} of {seeds} seeds" if figure.seeds < seeds else ""
    return Shown(figure, text, interval, note)


def _mark(fields: Sequence[tuple[Kind, Shown]], column: Column) -> None:
    """Mark the best of those that compete. Equal to the eye is equal; if all are equal none is best."""
    running = [
        f
        for kind, f in fields
        if f.figure is not None and (kind == "" or (kind == "reference" and column.reference_competes))
    ]
    if column.better is None or not column.marked or len(running) < 2 or len({f.text for f in running}) < 2:
        return
    pick = max if column.better == "higher" else min
    best = pick(running, key=lambda f: f.figure.value if f.figure else math.nan)
    for f in running:
        f.best = f.text == best.text

"""Tables that fit the terminal: where the columns do not, they go on below, and no figure is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from magdr_core.cli.terminal import Terminal, stacked
from magdr_core.components.figure import Better

_ARROWS = {"higher": ("↑", "^"), "lower": ("↓", "v"), "neither": ("", "")}
"""What says which way is better, and what stands for it where the terminal has ASCII alone."""


def arrow(console: Terminal, better: Better) -> str:
    """What stands behind the name of a figure: which way is better."""
    return _ARROWS[better][console.options.ascii_only]


def arrows_explained(console: Terminal) -> str:
    """The line that says what the arrows mean."""
    return f"{arrow(console, 'higher')} more is better, {arrow(console, 'lower')} less is better"


@dataclass(frozen=True)
class Head:
    """The head of a column of figures: its lines, one above the other, and which way is better."""

    lines: Sequence[str]
    better: Better = "neither"

    def text(self, console: Terminal) -> Text:
        """The lines, with the arrow behind the last one."""
        *above, last = self.lines
        return stacked(*above, f"{last} {arrow(console, self.better)}".rstrip())


@dataclass
class FittingTable:
    """A table whose first columns name its rows and whose others hold figures.

    Attributes:
        title: a line or two above it.
        names: heads of the columns that name a row; they stand in every part.
        groups: heads of the columns of figures; those of one group stay together.
        rows: of each row its names, and its figures, as many as all groups have columns.
    """

    title: str
    names: Sequence[str]
    groups: list[Sequence[Head]] = field(default_factory=list)
    rows: list[tuple[Sequence[RenderableType], Sequence[RenderableType]]] = field(default_factory=list)

    def add_row(self, names: Sequence[RenderableType], figures: Sequence[RenderableType]) -> None:
        """Add a row.

        Raises:
            ValueError: it has not as many figures as there are columns.
        """
        if (given := len(figures)) != (wanted := sum(map(len, self.groups))):
            raise ValueError(f"a row of {given} figures in a table of {wanted} columns")
        self.rows.append((names, figures))

    def print(self, console: Terminal) -> None:
        """Print it, in as many parts as the terminal's width takes."""
        starts = [sum(map(len, self.groups[:i])) for i in range(len(self.groups) + 1)]
        first, parts = 0, 0
        while first < len(self.groups):
            last = first + 1
            while last < len(self.groups) and _fits(console, self._part(console, starts, first, last + 1)):
                last += 1
            title = self.title if not parts else f"{self.title.partition(' (')[0]}, continued"
            console.print(Text(title, style="bold"))
            console.print(self._part(console, starts, first, last))
            first, parts = last, parts + 1

    def _part(self, console: Terminal, starts: Sequence[int], first: int, last: int) -> Table:
        table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
        for name in self.names:
            table.add_column(name, overflow="fold", vertical="top")
        for group in self.groups[first:last]:
            for head in group:
                table.add_column(head.text(console), justify="right", no_wrap=True)
        for names, figures in self.rows:
            table.add_row(*names, *figures[starts[first] : starts[last]])
        table.add_row()  # an empty line behind it
        return table


def _fits(console: Terminal, table: Table) -> bool:
    unbounded = console.options.update(width=10_000)
    return Measurement.get(console, unbounded, table).maximum <= console.width

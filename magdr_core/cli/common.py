"""What several commands share: options, threads, progress."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column, Table
from rich.text import Text

from magdr_core.bench.steps import INSIDE
from magdr_core.cli.terminal import Terminal
from magdr_core.cli.time_left import TimeLeft, rounded
from magdr_core.components.threads import probe_threads
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedFinder
from magdr_core.printable import visible
from magdr_core.registry.read import default_registry
from magdr_core.toolkit import Toolkit

LONGEST = 60
"""Characters of a title beside or below a progress bar."""

BESIDE = 104
"""Columns of a terminal that has room for a bar and such a title beside it."""

device_option = click.option("--device", help="auto, cpu, cuda or cuda:N; overrides the registry.")
block_option = click.option(
    "--block", multiple=True, metavar="GLOB", help="Plugins not to import (see `magdr plugins list`)."
)
files_registry_option = click.option(
    "--registry",
    type=click.Path(path_type=Path),
    help="A file or builtin:NAME; default: what ./registry.toml, or the packaged one, names for files.",
)
finder_option = click.option(
    "--finder",
    metavar="LABEL",
    help="What finds the faces, a [finder.LABEL]; default: the registry's first, else cascade.",
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/cache"),
    show_default=True,
    help="Store of cells, attacked images and calibrations, shared by all runs.",
)


def open_toolkit(registry: Path | None, device: str | None, block: tuple[str, ...]) -> Toolkit:
    """The toolkit of a command, with the thread count that is faster on this machine at present."""
    toolkit = Toolkit.from_registry(registry or default_registry(), device=device, block=block)
    if toolkit.device.type == "cpu":
        torch.set_num_threads(probe_threads())
    return toolkit


def open_for_files(
    registry: Path | None, device: str | None, block: tuple[str, ...], task: str | None = None
) -> Toolkit:
    """The same of a command on files: of the registry that the default one names for them, unless that knows
    no such task or another registry is asked for."""
    toolkit = open_toolkit(registry, device, block)
    if registry is not None or (others := toolkit.registry.for_files) is None:
        return toolkit
    for_files = open_toolkit(others, device, block)
    return for_files if task is None or task in for_files.registry.labels("generator") else toolkit


def chosen_finder(toolkit: Toolkit, label: str | None, whole: bool) -> GuardedFinder | None:
    """The finder of a command; None where --whole says that nothing is to be searched.

    Raises:
        click.UsageError: both are said.
        RegistryError: there is no such finder, or it cannot be built.
    """
    if not whole:
        return toolkit.finder(label)
    if label is not None:
        raise click.UsageError("--finder finds faces, --whole looks for none; say one of them")
    return None


def check_writable(folder: Path) -> None:
    """Raises MagdrError before a run starts if its results could not be written."""
    existing = next(p for p in [folder, *folder.absolute().parents] if p.exists())
    if not existing.is_dir():
        raise MagdrError(f"{existing} is a file, a folder is needed there")
    if not os.access(existing, os.W_OK | os.X_OK):  # a read-only medium as well
        raise MagdrError(f"{existing}: no permission to write there; name another folder")


def _fitting(title: str) -> str:
    """A title beside a bar: harmless, and so short that the bar stays on its line."""
    shown = visible(title)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."


class _Left(ProgressColumn):
    """How long the whole still takes, as far as anybody knows; of a step, how fast it goes."""

    def __init__(self, display: ProgressDisplay) -> None:
        super().__init__(table_column=Column(no_wrap=True, min_width=len("about 40 s left")))
        self.display = display

    def render(self, task: Task) -> Text:
        if task.fields["step"]:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")
        if self.display.left is not None:
            return Text(str(self.display.left.estimate() or ""))
        return Text(f"about {rounded(task.time_remaining)} left" if task.time_remaining else "")


class _Bars(Progress):
    """Bars with their titles beside them, or below where the terminal is too narrow for both."""

    def __init__(self, *columns: ProgressColumn, console: Terminal, **more: Any) -> None:
        self.terminal = console  # Rich asks for what is shown before it has kept its own
        super().__init__(*columns, console=console, **more)

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.terminal.width >= BESIDE:
            yield from super().get_renderables()
            return
        columns = [c for c in self.columns[:-1] if isinstance(c, ProgressColumn)]
        for task in self.tasks:
            if task.visible:
                table = Table.grid(*(c.get_table_column().copy() for c in columns), padding=(0, 1))
                table.add_row(*(c(task) for c in columns))
                yield table
                if task.description:
                    yield Text(task.description, overflow="fold")


class ProgressDisplay:
    """Nested progress: cells of a run, and the long step inside one. Plain lines without a terminal."""

    def __init__(self, console: Terminal) -> None:
        self.console = console
        self.live = console.is_terminal
        self.left: TimeLeft | None = None
        self._bar = _Bars(
            BarColumn(bar_width=16),
            MofNCompleteColumn(table_column=Column(justify="right", no_wrap=True)),
            _Left(self),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            transient=True,
            expand=True,
        )
        self._main: Any = None
        self._step: Any = None
        self._said = ""

    @contextmanager
    def running(self, title: str, total: int, left: TimeLeft | None = None) -> Iterator[ProgressDisplay]:
        """While something runs that has so many parts.

        Args:
            left: knows how long it still takes; without it, parts are taken to be as long as each other.
        """
        if not self.live:
            yield self
            return
        self.left = left
        with self._bar:
            self._main = self._bar.add_task(_fitting(title), total=total, step=False)
            self._step = self._bar.add_task("", total=1, visible=False, step=True)
            yield self
        # What runs next begins with bars of its own.
        self._bar.remove_task(self._main)
        self._bar.remove_task(self._step)
        self._main = self._step = None

    def advance(self, title: str) -> None:
        """One cell is done."""
        if self.live:
            self._bar.update(self._main, advance=1, description=_fitting(title) or None)
            self._bar.update(self._step, visible=False, description="")
        elif title:
            self.console.print(title, soft_wrap=True)

    def step(self, what: str, done: int, total: int) -> None:
        """Progress of a long step. Without a terminal one line says that it has begun, unless it is part of
        what gets a line anyway."""
        if self.live:
            if self._step is None:
                return  # nothing that has bars runs
            what = _fitting(what.removeprefix(INSIDE))
            task = self._task(self._step)
            if task.description != what:
                self._bar.reset(self._step, description=what, visible=True)
            task.total = total or None  # without one the bar goes to and fro
            self._bar.update(self._step, completed=min(done, total) if total else done, visible=True)
        elif what != self._said and not what.startswith(INSIDE):
            self.console.print(f"  {what} ...", soft_wrap=True)
            self._said = what

    def _task(self, number: Any) -> Task:
        return next(task for task in self._bar.tasks if task.id == number)

    def say(self, message: str) -> None:
        """A sentence."""
        self.console.say(message)

    def say_path(self, path: object) -> None:
        """Where something is, on a line that can be copied."""
        self.console.print(str(path), soft_wrap=True)

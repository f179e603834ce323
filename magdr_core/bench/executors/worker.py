"""Where units of work are done: one worker's side of a distributed benchmark. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from magdr_core.bench.executors.local import GroupWork
from magdr_core.bench.executors.task_graph import Unit
from magdr_core.bench.plan import Group
from magdr_core.calibration import Progress
from magdr_core.components.cells import PlannedCell
from magdr_core.components.slice import Slice
from magdr_core.errors import MagdrError
from magdr_core.files.disk import Content
from magdr_core.registry.settings import Profile
from magdr_core.results.cell import CellResult
from magdr_core.results.store import AwayStore
from magdr_core.toolkit import Toolkit


@dataclass(frozen=True)
class Order:
    """A unit with what its worker cannot know.

    Attributes:
        errors: by (task, role, component) what is wrong with components that could not be calibrated.
        cells: of the unit's group, without their values; for pictures, checks and their rows.
    """

    unit: Unit
    errors: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    cells: Sequence[CellResult] = ()


@dataclass(frozen=True)
class UnitResult:
    """What became of an order.

    Attributes:
        value: fit: what is wrong with the component, or None; cell: its result; checks: for each row the one
            that stands there if it cannot be made; row: the row; pictures: the tensors.
        made: files for the store, by name.
        said: messages.
    """

    value: Any
    made: Mapping[str, bytes]
    said: Sequence[str]


class Desk:
    """Does units of work, one at a time.

    Args:
        fetch: reads a file of the store by its name, as :meth:`Store.read` does.
        progress: told (what, done, total) of long steps.
    """

    def __init__(
        self,
        toolkit: Toolkit,
        profile: Profile,
        groups: Sequence[Group],
        fetch: Callable[[str], Content],
        progress: Progress,
    ) -> None:
        self.toolkit, self.profile, self.groups = toolkit, profile, groups
        self.store = AwayStore(fetch, self._say)
        self.progress = progress
        self._said: list[str] = []
        self._at: tuple[int, GroupWork] | None = None

    def do(self, order: Order) -> UnitResult:
        """Raises whatever is neither a component's fault nor the registry's."""
        unit = order.unit
        self.store.take()  # of an order that was not finished
        self._said = []
        work = self._work(unit.group)
        task = self.groups[unit.group].task
        for (of, role, component), error in order.errors.items():
            if of == task:
                work.run.known_to_fail(role, component, error)
        value: Any = getattr(self, f"_{unit.kind}")(work, order)
        return UnitResult(value, self.store.take(), tuple(self._said))

    def _work(self, group: int) -> GroupWork:
        """The latest group's, which holds its images and components."""
        if self._at is None or self._at[0] != group:
            self._at = None  # frees the other one first
            work = GroupWork(
                self.toolkit, self.profile, self.groups[group], self.store, self.progress, self._say
            )
            self._at = (group, work)
        return self._at[1]

    def _say(self, message: str) -> None:
        self._said.append(message)

    # -- the kinds of units -----------------------------------------------------------------------------

    def _fit(self, work: GroupWork, order: Order) -> str | None:
        return work.run.fitted(order.unit.about)

    def _images(self, work: GroupWork, order: Order) -> None:
        part: Slice
        users: Sequence[PlannedCell]
        part, users = order.unit.about
        if all(work.run.stored(cell) for cell in users):
            return
        try:
            work.run.images.of(part)
            work.threats.card(users[0])  # counts what the attack asks of the generator
        except (MagdrError, torch.OutOfMemoryError):
            pass  # the cells fail in the same way, and say so

    def _cell(self, work: GroupWork, order: Order) -> CellResult:
        return work.cell(order.unit.about)

    def _pictures(self, work: GroupWork, order: Order) -> Any:
        group = self.groups[order.unit.group]
        found = work.pictures(order.cells, group.seed == self.groups[0].seed)
        return {name: images.cpu() for name, images in found.items()}

    def _checks(self, work: GroupWork, order: Order) -> list[dict[str, Any]]:
        lost = "no worker came back with them"
        return [work.suite.unmade(job, lost) for job in self._jobs(work, order)]

    def _row(self, work: GroupWork, order: Order) -> dict[str, Any]:
        return work.suite.row(self._jobs(work, order)[order.unit.about])

    def _jobs(self, work: GroupWork, order: Order) -> list[Any]:
        for cell in work.run.group.cells:
            work.run.fitted(cell)  # the keys of checks hold the calibrations
        return work.suite.jobs(order.cells)

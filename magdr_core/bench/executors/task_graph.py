"""A benchmark cut into units of work that other processes can do, and what has to come before what.

Nothing expensive is done twice: a component is calibrated by one unit, a slice's images are made by one unit,
and both go into the store before the units that need them begin. Then every cell is a unit of its own, and so
is every row of sanity checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from magdr_core.bench.executors.local import Job
from magdr_core.bench.plan import Group, planning
from magdr_core.calibration import wants_oracle
from magdr_core.components.cells import PlannedCell
from magdr_core.components.role import role_of
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning
from magdr_core.errors import MagdrError
from magdr_core.results.cell import CellResult

TRAIN = "train"
"""Faces that only supervised baselines learn from."""


@dataclass(frozen=True, eq=False)
class Unit:
    """Work that is done by one worker at a time.

    Attributes:
        id: unique.
        title: for people.
        kind: fit (calibrate a component), images (of a slice), cell, checks (list the rows to check), row (of
            checks) or pictures.
        group: index of the group.
        about: the cell (fit, cell), (slice, its cells) (images), or the number of a row.
        number: of a cell in its group.
        needs: ids of units without whose results this one cannot be done.
        after: ids of units that come first, whatever becomes of them.
        near: which images it works on; a worker that has just worked on them has them at hand.
    """

    id: str
    title: str
    kind: str
    group: int
    about: Any = None
    number: int = 0
    needs: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    near: str = ""


def units_of(job: Job) -> list[Unit]:
    """All units that are known beforehand; the rows of checks are known when they have been listed."""
    found: dict[str, Unit] = {}
    for index, group in enumerate(job.groups):
        for unit in _of_group(job, index, group):
            found.setdefault(unit.id, unit)  # seeds share calibrations
    return list(found.values())


def _of_group(job: Job, index: int, group: Group) -> Iterator[Unit]:
    plan = planning(job.toolkit, job.profile, group.task)
    fits = _Fits(plan, index, group)
    yield from fits.units()
    users: dict[Slice, list[PlannedCell]] = {}
    cells = []
    for number, cell in enumerate(group.cells):
        parts = plan.scenarios[cell.slice.scenario].images_before(plan, cell.slice)
        for part in parts:
            users.setdefault(part, []).append(cell)
        unit = Unit(f"{index}/cell/{number}", str(cell), "cell", index, cell, number, near=cell.slice.name)
        images = frozenset(_images(index, part) for part in parts)
        cells.append(replace(unit, needs=images, after=frozenset(fits.of(cell))))
    for part, own in users.items():
        # Whether images are needed at all is seen from the keys of cells, which hold calibrations.
        after = frozenset(name for cell in own for name in fits.of(cell))
        title, about = f"{_place(group)}: images of {part.name}", (part, tuple(own))
        yield Unit(_images(index, part), title, "images", index, about, after=after, near=part.name)
    yield from cells
    done = frozenset(unit.id for unit in cells)
    if job.whole:
        yield Unit(f"{index}/pictures", f"{_place(group)}: pictures", "pictures", index, after=done)
    if job.checked(group):
        yield Unit(f"{index}/checks", f"{_place(group)}: checks", "checks", index, after=done)


def row_unit(listed: Unit, number: int) -> Unit:
    """The unit of one row of the checks that another has listed."""
    return Unit(f"{listed.id}/{number}", f"{listed.title}, row {number + 1}", "row", listed.group, number)


def _place(group: Group) -> str:
    return f"{group.task} (seed {group.seed})"


# -- images ----------------------------------------------------------------------------------------------


def _images(index: int, part: Slice) -> str:
    return f"{index}/images/{part.scenario}/{part.name}"


# -- calibrations ----------------------------------------------------------------------------------------


class _Fits:
    """The units that calibrate a group's detectors and defenses."""

    def __init__(self, plan: Planning, index: int, group: Group) -> None:
        self.plan, self.toolkit = plan, plan.toolkit
        self.index, self.group = index, group

    def of(self, cell: PlannedCell) -> list[str]:
        """Names of the units that a cell needs."""
        return [self._name(role, label) for role, label in self._wanted(cell)]

    def _name(self, role: str, label: str) -> str:
        return f"{self.group.task}/fit/{role}/{label}"

    def _wanted(self, cell: PlannedCell) -> list[tuple[str, str]]:
        """(role, label) of a cell's calibrated components."""
        role = role_of(self.plan.roles, cell.role, cell.component)
        scenario = self.plan.scenarios[cell.slice.scenario]
        return [*role.fits(self.plan, cell.component), *scenario.fits(self.plan, role)]

    def units(self) -> Iterator[Unit]:
        """In an order in which each comes after what it needs."""
        cells: dict[tuple[str, str], PlannedCell] = {}
        for cell in self.group.cells:
            for role, label in self._wanted(cell):
                for one in (*self._inner(role, label), (role, label)):
                    cells.setdefault(one, replace(cell, role=one[0], component=one[1]))
        leading: dict[str, str] = {}
        latest: dict[str, str] = {}
        for (role, label), cell in cells.items():
            own = self._name(role, label)
            # Those that learn from the same faces wait for one that makes them attacked; of a defense nobody
            # knows beforehand whether it learns at all.
            faces = self._faces(role, label)
            after = frozenset(leading.get(f) or latest[f] for f in faces if f in latest)
            needs = frozenset(self._name(*inner) for inner in self._inner(role, label))
            title = f"{self.group.task}: calibration of {role} {label}"
            yield Unit(own, title, "fit", self.index, cell, needs=needs, after=after, near="calibration")
            for f in faces:
                latest[f] = own
                if self.plan.roles[role].always_learns or f == TRAIN:
                    leading.setdefault(f, own)

    def _kind(self, role: str, label: str) -> str:
        return self.plan.roles[role].kind_of(self.toolkit, label)

    def _inner(self, role: str, label: str) -> list[tuple[str, str]]:
        """The calibrated detectors that a component stands behind."""
        try:
            resolved = self.toolkit.resolve(self._kind(role, label), label)
        except MagdrError:
            return []  # broken: its cells say so
        needed = [
            (need.kind, resolved.needs[n]) for n, need in resolved.entry.spec.needs.items() if need.calibrated
        ]
        return [(kind, label) for kind, label in needed if isinstance(label, str)]

    def _faces(self, role: str, label: str) -> tuple[str, ...]:
        """The sets of calibration faces that a component is offered."""
        try:
            spec = self.toolkit.resolve(self._kind(role, label), label).entry.spec
            masks = (
                "exact masks"
                if wants_oracle(self.toolkit, self._kind(role, label), label)
                else "estimated masks"
            )
        except MagdrError:
            return ()
        return (masks, TRAIN) if getattr(spec, "supervised", False) else (masks,)


# -- what becomes of them --------------------------------------------------------------------------------


def brief(cells: Iterable[CellResult]) -> list[CellResult]:
    """What checks and pictures have to know of cells: all but the values."""
    return [CellResult(c.facts, key=c.key, error=c.error, forwards=c.forwards, worst=c.worst) for c in cells]

"""A benchmark on workers elsewhere: this process gives out units, and it alone writes to the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from magdr_core.bench import registered
from magdr_core.bench.checks.badges import PLANTED
from magdr_core.bench.checks.check import SanityCheck
from magdr_core.bench.executors.local import Data, GroupResult, Job
from magdr_core.bench.executors.scheduler import Crew, Failed, Schedule
from magdr_core.bench.executors.task_graph import Unit, brief, row_unit, units_of
from magdr_core.bench.executors.worker import Order, UnitResult
from magdr_core.bench.group import failed_cell
from magdr_core.results.cell import CellResult

T = TypeVar("T")

CrewOf = Callable[[Job], AbstractContextManager[Crew]]
"""Hires workers for a job; on leaving it dismisses them, whatever they are doing."""


def run_with(job: Job, crew_of: CrewOf, *, retries: int) -> list[GroupResult]:
    """What an engine does, with a crew.

    Args:
        retries: how often a unit is given to another worker when its own was lost.
    """
    return _Run(job, retries).results(crew_of)


class _Run:
    def __init__(self, job: Job, retries: int) -> None:
        self.job, self.retries = job, retries
        self.errors: dict[tuple[str, str, str], str] = {}
        self.cells: list[dict[int, CellResult]] = [{} for _ in job.groups]
        self.rows: list[dict[int, Data]] = [{} for _ in job.groups]
        self.pictures: list[Any] = [{} for _ in job.groups]
        self._said: set[str] = set()
        self._unmade: list[list[Data]] = [[] for _ in job.groups]

    def results(self, crew_of: CrewOf) -> list[GroupResult]:
        units = units_of(self.job)
        if units:
            with crew_of(self.job) as crew:
                Schedule(
                    crew,
                    units,
                    order=self._order,
                    retries=self.retries,
                    finished=self._finished,
                    report=self.job.report,
                ).run()
        return [
            GroupResult(_in_order(cells), _in_order(rows), pictures)
            for cells, rows, pictures in zip(self.cells, self.rows, self.pictures, strict=True)
        ]

    def _order(self, unit: Unit) -> Order:
        about = unit.kind in ("pictures", "checks", "row")
        return Order(unit, self.errors, brief(_in_order(self.cells[unit.group])) if about else ())

    def _finished(self, unit: Unit, value: Any) -> Iterable[Unit]:
        if isinstance(value, Failed):
            return self._failed(unit, value.why)
        outcome: UnitResult = value
        for name, content in outcome.made.items():
            self.job.store.write(name, content)
        for message in outcome.said:
            if message not in self._said:  # several workers may find one file of the store damaged
                self._said.add(message)
                self.job.report(message)
        return self._take(unit, outcome.value)

    def _take(self, unit: Unit, value: Any) -> Iterable[Unit]:
        if unit.kind == "fit" and value is not None:
            self.errors[unit.about.task, unit.about.role, unit.about.component] = value
        elif unit.kind == "cell":
            self._cell(unit, value)
        elif unit.kind == "pictures":
            self.pictures[unit.group] = value
        elif unit.kind == "checks":
            self._unmade[unit.group] = value
            return [row_unit(unit, number) for number in range(len(value))]
        elif unit.kind == "row":
            self.rows[unit.group][unit.about] = value
        return ()

    def _failed(self, unit: Unit, why: str) -> Iterable[Unit]:
        """No worker came back with it."""
        if unit.kind == "fit":
            return self._take(unit, f"{unit.title}: {why}")
        if unit.kind == "cell":
            self.job.report(f"failed: {unit.title}: {why}")
            scenario = registered.scenarios(self.job.toolkit)[unit.about.slice.scenario]
            self._cell(unit, failed_cell(unit.about.facts(scenario), why))
        elif unit.kind == "row":
            self.job.report(f"failed: {unit.title}: {why}")
            self.rows[unit.group][unit.about] = self._unmade[unit.group][unit.about]
        elif unit.kind == "checks":
            self.job.report(f"failed: {unit.title}: {why}")
            self.rows[unit.group][0] = self._unchecked(unit, why)
        elif unit.kind == "pictures":
            self.job.report(f"failed: {unit.title}: {why}")
        return ()

    def _unchecked(self, unit: Unit, why: str) -> Data:
        """The one row of a task whose checks nobody could even list."""
        group = self.job.groups[unit.group]
        failed = SanityCheck("run", "fail", f"the checks could not be run: {why}")
        about = {"task": group.task, "seed": group.seed, "role": PLANTED, "component": PLANTED}
        return {**about, "key": "", "how": {}, "checks": [failed.as_json()]}

    def _cell(self, unit: Unit, found: CellResult) -> None:
        self.cells[unit.group][unit.number] = found
        self.job.finished(found)


def _in_order(by_number: dict[int, T]) -> list[T]:
    return [by_number[number] for number in sorted(by_number)]

"""Giving units of work to workers that may die: what is ready goes to who is free, lost work to another.

Knows nothing of processes and clusters: a :class:`Crew` has the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from magdr_core.bench.executors.task_graph import Unit
from magdr_core.bench.executors.worker import Order


@dataclass(frozen=True)
class Ready:
    """A worker has started and has nothing to do."""

    worker: int


@dataclass(frozen=True, eq=False)
class Done:
    """A worker has done its unit and has nothing to do."""

    worker: int
    value: Any


@dataclass(frozen=True)
class Lost:
    """A worker is gone, with whatever it was doing."""

    worker: int
    why: str


Event = Ready | Done | Lost


class Crew(Protocol):
    """Workers, by number. One that was lost is replaced under another number, if there is room."""

    def start(self, worker: int, order: Order) -> None:
        """Give an order to a worker that is free."""
        ...

    def wait(self) -> Sequence[Event]:
        """What has happened since the last call; blocks for a while if nothing has.

        Raises:
            MagdrError: there will never be a worker.
        """
        ...


@dataclass(frozen=True)
class Failed:
    """A unit was not done.

    Attributes:
        why: one line.
    """

    why: str


class Schedule:
    """The units of a run.

    Args:
        order: of a unit, when it is given to a worker.
        retries: how often a unit is given to another worker when its own was lost.
        finished: told each unit with its value, or with :class:`Failed`, before units that come after it are
            given to anybody; returns further units.
        report: told one-line messages.
    """

    def __init__(
        self,
        crew: Crew,
        units: Iterable[Unit],
        *,
        order: Callable[[Unit], Order],
        retries: int,
        finished: Callable[[Unit, Any], Iterable[Unit]],
        report: Callable[[str], None],
    ) -> None:
        self.crew, self.order, self.finished = crew, order, finished
        self.retries, self.report = retries, report
        self._open: dict[str, Unit] = {unit.id: unit for unit in units}
        self._place = {name: place for place, name in enumerate(self._open)}
        self._lost: dict[str, int] = {}
        self._closed: dict[str, Failed | None] = {}
        self._free: list[int] = []
        self._busy: dict[int, Unit] = {}
        self._last: dict[int, Unit] = {}

    def run(self) -> None:
        """Until every unit is done or has failed."""
        while self._open or self._busy:
            self._give()
            for event in self.crew.wait():
                self._happened(event)

    def _happened(self, event: Event) -> None:
        unit = self._busy.pop(event.worker, None)
        if isinstance(event, Lost):
            self._free = [worker for worker in self._free if worker != event.worker]
            if unit is not None:
                self._again(unit, event.why)
            return
        self._free.append(event.worker)
        if isinstance(event, Done) and unit is not None:
            self._last[event.worker] = unit
            self._close(unit, event.value)

    def _again(self, unit: Unit, why: str) -> None:
        times = self._lost[unit.id] = self._lost.get(unit.id, 0) + 1
        if times <= self.retries:
            self.report(f"lost a worker ({unit.title}): {why}; the work goes to another")
            self._open[unit.id] = unit
        else:
            tried = "once, and lost the worker" if times == 1 else f"{times} times, and lost the worker"
            self._close(unit, Failed(f"tried {tried}: {why}"))

    def _close(self, unit: Unit, value: Any) -> None:
        self._closed[unit.id] = value if isinstance(value, Failed) else None
        for new in self.finished(unit, value):
            self._place[new.id] = len(self._place)
            self._open[new.id] = new
        if isinstance(value, Failed):
            for later in [u for u in self._open.values() if unit.id in u.needs]:
                if self._open.pop(later.id, None) is not None:
                    self._close(later, Failed(f"{unit.title}: {value.why}"))

    # -- who does what ----------------------------------------------------------------------------------

    def _give(self) -> None:
        ready = [unit for unit in self._open.values() if self._is_ready(unit)]
        while ready and self._free:
            worker = self._free.pop(0)
            unit = min(ready, key=lambda unit: self._distance(worker, unit))
            ready.remove(unit)
            del self._open[unit.id]
            self._busy[worker] = unit
            self.crew.start(worker, self.order(unit))

    def _is_ready(self, unit: Unit) -> bool:
        # What is in nobody's list, a unit of a part that is not computed here, holds up nothing.
        return not any(name in self._place and name not in self._closed for name in unit.needs | unit.after)

    def _distance(self, worker: int, unit: Unit) -> tuple[bool, bool, bool, int]:
        """How far a unit is from what the worker has at hand; among equals, the order of the list."""
        last = self._last.get(worker)
        others = [(u.group, u.near) for w, u in self._busy.items() if w != worker]
        return (
            last is not None and unit.group != last.group,
            last is None or unit.near != last.near,
            (unit.group, unit.near) in others,
            self._place[unit.id],
        )

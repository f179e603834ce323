"""How long a benchmark still takes, from what its finished cells took."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

SETTLED = 0.05
"""Share of a step that must be done before its pace says anything."""


@dataclass(frozen=True)
class Work:
    """What a cell's time depends on: who computes it, on which kind of images, of which task."""

    task: str
    role: str
    component: str
    scenario: str

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Work:
        """Of a cell's facts."""
        return cls(facts["task"], facts["role"], facts["component"], facts["slice_role"])


@dataclass(frozen=True)
class Estimate:
    """Seconds that are left; if not `whole` at least so many: of some of the work nothing is known yet, or
    only from images of another kind."""

    seconds: float
    whole: bool

    def __str__(self) -> str:
        """`about 40 s left`, `over 3 min left`: with no more digits than it is worth."""
        return f"{'about' if self.whole else 'over'} {rounded(self.seconds)} left"


def rounded(seconds: float) -> str:
    """A duration as one says it: 8 s, 40 s, 3 min, 2.5 h."""
    if seconds < 9.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 95:
        return f"{round(seconds / 10) * 10} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"


class TimeLeft:
    """Watches a run's cells and steps.

    A cell takes the seconds that it tells, and before the first one of a component in a task whatever passes
    until then: its fit. A cell that was kept took no time and says nothing of what others take.

    Whoever shows the estimate may do so from another thread.

    Args:
        planned: every cell of the run, in order.
        checks: of so many tasks, which come after their cells.
        serial: cells come one after the other; otherwise several workers share them.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        planned: Iterable[Work],
        *,
        checks: int = 0,
        serial: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._order = list(planned)
        self._done = 0
        self._left = Counter(self._order)
        self._fits = dict.fromkeys(map(_fit_of, self._order))
        self._checks, self._checking = checks, False
        self._serial, self._clock = serial, clock
        self._known: dict[tuple[str, ...], list[float]] = {}
        self._begun = self._since = clock()
        self._spent = 0.0
        self._step: tuple[str, float, int] | None = None
        self._pace: float | None = None

    def finished(self, work: Work, seconds: float, *, kept: bool) -> None:
        """A cell is there.

        Args:
            seconds: that it tells of itself.
            kept: it was there before, or has failed.
        """
        with self._lock:
            before = max(0.0, self._lap() - (0.0 if kept else seconds))
            self._left[work] -= 1
            self._done += 1
            first = _fit_of(work) in self._fits
            self._fits.pop(_fit_of(work), None)
            if first and not kept:
                self._learn(("fit", work.role, work.component), before if self._serial else 0.0)
            if not kept:
                self._spent += seconds
                self._learn(("cell", work.task, work.role, work.component, work.scenario), seconds)
                self._learn(("cell", work.role, work.component, work.scenario), seconds)
                self._learn(("cell", work.role, work.component), seconds)

    def checking(self) -> None:
        """What runs now are checks, not the next cell."""
        self._checking = True

    def checked(self) -> None:
        """The checks of a task are there."""
        with self._lock:
            self._checks -= 1
            self._checking = False
            self._learn(("checks",), self._lap())

    def step(self, what: str, done: int, total: int) -> None:
        """A long step of what runs now is so far."""
        now = self._clock()
        if self._step is None or self._step[0] != what or done < self._step[2]:
            self._step, self._pace = (what, now, done), None
            return
        _, begun, first = self._step
        if done - first >= max(1.0, SETTLED * total):
            self._pace = (now - begun) / (done - first) * max(0, total - done)

    def estimate(self) -> Estimate | None:
        """What is left of the run; None while nothing is known of most of it."""
        with self._lock:
            seconds, whole = 0.0, True
            cells = unknown = 0
            for work, count in self._left.items():
                if count > 0:
                    each, exact = self._cell(work)
                    cells, unknown = cells + count, unknown + (0 if each else count)
                    seconds, whole = seconds + count * each, whole and exact
            if 2 * unknown > cells:
                return None
            for fit in self._fits:
                each, known = self._mean("fit", *fit[1:])
                seconds, whole = seconds + each, whole and known
            if self._checks > 0:
                each, known = self._mean("checks")
                seconds, whole = seconds + self._checks * each, whole and known
            if self._serial:
                # What runs now has begun already; by its own pace it may take longer than was thought.
                now = self._expected_now()
                gone = self._clock() - self._since
                seconds += max(now - gone, self._pace or 0.0, 0.0) - now
            else:  # as many at a time as there were so far
                seconds /= max(1.0, self._spent / max(self._clock() - self._begun, 1e-9))
            return Estimate(seconds, whole) if seconds > 0 else None

    def _expected_now(self) -> float:
        """Of what runs now: the checks, or the next cell with its fit."""
        if self._checking:
            return self._mean("checks")[0]
        if self._done >= len(self._order):
            return 0.0
        work = self._order[self._done]
        fit = self._mean("fit", work.role, work.component)[0] if _fit_of(work) in self._fits else 0.0
        return self._cell(work)[0] + fit

    def _cell(self, work: Work) -> tuple[float, bool]:
        """Seconds of a cell, and whether they are those of its like; 0 where nothing is known."""
        own = ("cell", work.role, work.component, work.scenario)
        for likeness in (("cell", work.task, *own[1:]), own):
            each, known = self._mean(*likeness)
            if known:
                return each, True
        return self._mean("cell", work.role, work.component)[0], False

    def _lap(self) -> float:
        now = self._clock()
        took, self._since = now - self._since, now
        self._step = self._pace = None
        return took

    def _learn(self, likeness: tuple[str, ...], seconds: float) -> None:
        self._known.setdefault(likeness, []).append(seconds)

    def _mean(self, *likeness: str) -> tuple[float, bool]:
        found = self._known.get(likeness)
        return (fmean(found), True) if found else (0.0, False)


def _fit_of(work: Work) -> tuple[str, str, str]:
    return (work.task, work.role, work.component)

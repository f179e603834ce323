"""Where the cells of a benchmark are computed: here, one after the other, or wherever an engine sends them.

Engines differ in where and in which order; the results are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from magdr_core.bench.checks.suite import Suite
from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.plan import Group
from magdr_core.bench.threat import Threats
from magdr_core.calibration import Progress
from magdr_core.components.cells import PlannedCell
from magdr_core.components.fingerprints import CORE
from magdr_core.registry.settings import Profile
from magdr_core.results.cell import CellResult
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit

Data = dict[str, Any]
"""A checked row, as JSON."""

Pictures = dict[tuple[str, str, str, str], Tensor]


@dataclass(frozen=True, eq=False)
class Job:
    """A benchmark for an engine.

    Attributes:
        groups: what is to be computed.
        whole: whether checks and pictures are wanted; not of a shard.
        progress: told (what, done, total) of long steps.
        report: told one-line messages.
        finished: told each finished cell, in any order.
    """

    toolkit: Toolkit
    profile: Profile
    groups: Sequence[Group]
    store: Store
    whole: bool
    progress: Progress
    report: Callable[[str], None]
    finished: Callable[[CellResult], None]

    def checked(self, group: Group) -> bool:
        """Whether a group's rows are checked: of the first seed, since the checks ask how attacks behave,
        not how large a figure is."""
        return self.whole and self.profile.checked is not None and self.first_seed(group)

    def first_seed(self, group: Group) -> bool:
        return group.seed == self.groups[0].seed


@dataclass
class GroupResult:
    """What became of a group: its cells in the order of the plan, its checked rows, the report's pictures."""

    cells: list[CellResult]
    checks: list[Data] = field(default_factory=list)
    pictures: Pictures = field(default_factory=dict)


class Engine(Protocol):
    """Computes what the store does not hold."""

    name: str

    def check(self, toolkit: Toolkit) -> None:
        """Called before anything is written. Raises MagdrError if the engine cannot work at all."""
        ...

    def threads(self, toolkit: Toolkit) -> int:
        """Of torch, where cells are computed."""
        ...

    def run(self, job: Job) -> list[GroupResult]:
        """Of each group of the job. A failing cell is a cell with an `error`, never an exception.

        Raises:
            MagdrError: nothing can be computed at all.
        """
        ...


class GroupWork:
    """The cells, checks and pictures of one group, in this process."""

    def __init__(
        self,
        toolkit: Toolkit,
        profile: Profile,
        group: Group,
        store: Store,
        progress: Progress,
        report: Callable[[str], None],
    ) -> None:
        work = Workplace(toolkit, profile, store, environment(toolkit), progress, report)
        self.run = GroupRun(work, group)
        self.threats = Threats(self.run)

    def cell(self, planned: PlannedCell) -> CellResult:
        """A cell with its threat card."""
        found = self.run.cell(planned)
        return replace(found, threat=self.threats.card(planned, found))

    @cached_property
    def suite(self) -> Suite:
        settings = self.run.work.profile.checked
        assert settings is not None
        return Suite(self.run, settings, self.threats)

    def pictures(self, cells: Sequence[CellResult], first_seed: bool) -> Pictures:
        shown = self.run.pictures(cells) if first_seed else {}
        return shown | self.run.worst_pictures(cells)


class LocalEngine:
    """One cell after the other, in this process."""

    name = "local"

    def check(self, toolkit: Toolkit) -> None:
        pass

    def threads(self, toolkit: Toolkit) -> int:
        return torch.get_num_threads()

    def run(self, job: Job) -> list[GroupResult]:
        return [self._group(job, group) for group in job.groups]

    def _group(self, job: Job, group: Group) -> GroupResult:
        work = GroupWork(job.toolkit, job.profile, group, job.store, job.progress, job.report)
        result = GroupResult([])
        for planned in group.cells:
            result.cells.append(work.cell(planned))
            job.finished(result.cells[-1])
        if job.whole:
            result.pictures = work.pictures(result.cells, job.first_seed(group))
        if job.checked(group) and not all(cell.failed for cell in result.cells):
            result.checks = list(work.suite.rows(result.cells))
        return result


def environment(toolkit: Toolkit) -> dict[str, Any]:
    """What results depend on besides components and data; part of every key. Not the release: what it changes
    are components, which have versions, or core's own maths, which has one too."""
    return {
        "core": CORE,
        "torch": torch.__version__,
        "device": toolkit.device.type,
        "dtype": "float32",
        "compile": False,
    }

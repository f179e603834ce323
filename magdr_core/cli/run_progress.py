"""What a benchmark is doing: its cells, the step that runs, and how long all of it still takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magdr_core.bench import registered
from magdr_core.bench.run import Bench
from magdr_core.cli.common import ProgressDisplay
from magdr_core.cli.time_left import TimeLeft, Work
from magdr_core.hosting.hookspecs import hookimpl

CHECKS = "checks"
"""How the name of a step begins that is about sanity checks; with nothing behind it, a task's are done."""


class RunProgress:
    """Shows each finished cell and the latest step, and learns from both how long the others take."""

    def __init__(self, display: ProgressDisplay) -> None:
        self.display = display
        self.left: TimeLeft | None = None

    def watch(self, bench: Bench) -> TimeLeft:
        """What follows is of this benchmark."""
        scenarios = registered.scenarios(bench.toolkit)
        planned = [
            Work.of(cell.facts(scenarios[cell.slice.scenario])) for g in bench.groups for cell in g.cells
        ]
        serial = bench.engine.name == "local"
        checked = serial and bench.shard is None and bench.profile.checked is not None
        tasks = [g for g in bench.groups if g.seed == bench.groups[0].seed] if checked else []
        self.left = TimeLeft(planned, checks=len(tasks), serial=serial)
        return self.left

    @hookimpl
    def magdr_cell_finished(self, run: Path, cell: Mapping[str, Any]) -> None:
        facts = cell["facts"]
        failed, kept = "error" in cell, bool(cell.get("reused"))
        if self.left is not None:
            self.left.finished(Work.of(facts), cell["seconds"], kept=kept or failed)
        state = "failed" if failed else "kept" if kept else f"{cell['seconds']:.1f} s"
        row = f"{facts['role']} {facts['component']}"  # a detector and a defense may have one label
        self.display.advance(f"{facts['task']} / {facts['attack']} / {row}  {state}")

    def step(self, what: str, done: int, total: int) -> None:
        """A long step is so far: what a benchmark is given as its `progress`."""
        if self.left is not None:
            if what == CHECKS and done >= total:
                self.left.checked()
            elif what.startswith(CHECKS):
                self.left.checking()
            self.left.step(what, done, total)
        self.display.step(what, done, total)

"""Running a benchmark: only what the store does not hold, failures kept apart, tables written at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core._version import __version__
from magdr_core.bench import registered
from magdr_core.bench.checks.badges import with_badges
from magdr_core.bench.executors.local import Engine, Job, LocalEngine
from magdr_core.bench.growth import KEPT
from magdr_core.bench.plan import plan
from magdr_core.calibration import Progress
from magdr_core.components.fingerprints import digest
from magdr_core.components.role import role_of
from magdr_core.isolation import interrupts
from magdr_core.registry.settings import Profile
from magdr_core.results.cell import CellResult
from magdr_core.results.columns import Row, to_csv
from magdr_core.results.pictures import pack_pictures
from magdr_core.results.rows import figures_of, result_rows
from magdr_core.results.run_folder import CELLS, CHECKS, PICTURES, RESULTS, VALUES, RunWriter
from magdr_core.results.store import Store
from magdr_core.results.values import pack_values
from magdr_core.toolkit import Toolkit

CHECKS_SCHEMA = 1
VERSIONS = ("magdr", "torch", "numpy", "pluggy", "scikit-image")


@dataclass
class RunResult:
    """What a benchmark left behind."""

    folder: Path
    manifest: dict[str, Any]
    rows: list[Row]
    cells: list[CellResult]
    pictures: dict[tuple[str, str, str, str], Tensor] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    observers_failed: bool = False
    """Some observer failed, or changed what it was shown; it was reported."""

    @property
    def failures(self) -> list[CellResult]:
        """The cells that could not be computed; `error` says why."""
        return [cell for cell in self.cells if cell.failed]

    @property
    def unreliable(self) -> list[dict[str, Any]]:
        """The checked rows that must not be believed."""
        return [row for row in self.checks if row["badge"] == "unreliable"]

    @property
    def reused(self) -> int:
        """Cells that the store held."""
        return sum(cell.reused for cell in self.cells)

    @property
    def computed(self) -> int:
        return len(self.cells) - self.reused - len(self.failures)

    def __repr__(self) -> str:
        cells = f"{self.computed} computed, {self.reused} kept, {len(self.failures)} failed"
        return f"<RunResult {self.folder}: {len(self.cells)} cells ({cells}), {len(self.rows)} rows>"

    @property
    def grown(self) -> list[tuple[int, int]]:
        """Of computed cells that the store had a part of: how many of their images, and of how many."""
        return [(cell.more[KEPT], len(cell.ids)) for cell in self.cells if KEPT in cell.more]


class Bench:
    """One profile of one registry.

    Args:
        out: run folder; `runs/<registry>-<profile>-<hash>` if None, so that the same command resumes.
        cache: folder of the shared store.
        limit: at most so many samples.
        shard: (i, n): compute part i of n parts of the cells, into the store alone; a run without it, with
            the same store, then writes the tables. Parts may run at the same time. What two parts need, such
            as a calibration or attacked images, is made by each that does not find it in the store.
        engine: where the cells are computed.
        progress: told (what, done, total) of long steps inside a cell.
        report: told one-line messages (failing observers, failing cells).
    """

    def __init__(
        self,
        toolkit: Toolkit,
        profile: str,
        *,
        out: Path | None = None,
        cache: Path = Path("runs/cache"),
        limit: int | None = None,
        shard: tuple[int, int] | None = None,
        engine: Engine | None = None,
        progress: Progress = lambda what, done, total: None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.toolkit = toolkit
        self.name = profile
        self.profile: Profile = toolkit.registry.profile(profile)
        if limit is not None:
            self.profile = self.profile.model_copy(update={"samples": min(limit, self.profile.samples)})
        self.groups = plan(toolkit, self.profile, profile)
        self.shard = shard
        if shard is not None:
            own = (replace(g, cells=tuple(c for c in g.cells if c.in_shard(shard))) for g in self.groups)
            self.groups = [g for g in own if g.cells]
        identity = digest([toolkit.registry.text, self.profile.model_dump(), __version__])[:8]
        self.folder = out or Path("runs") / f"{toolkit.registry.name}-{profile}-{identity}"
        self.store = Store(cache, report)
        self.engine: Engine = engine or LocalEngine()
        self.progress = progress
        self.report = report

    def __repr__(self) -> str:
        n = self.profile.samples
        return f"<Bench of profile {self.name}: {self.total} cells, {n} images each, into {self.folder}>"

    @property
    def total(self) -> int:
        return sum(len(g.cells) for g in self.groups)

    def run(self) -> RunResult:
        """Compute what is missing, write manifest, tables, per-sample values and the report's pictures.

        Of a shard, only the store is written, and observers are told of the cells alone. The manifest says
        that the run is finished once everything is there; observers of its end find it so.

        Raises:
            WriteError: the folder or the store cannot be written to.
        """
        with interrupts.watched():
            return self._run()

    def _run(self) -> RunResult:
        self.engine.check(self.toolkit)
        self.store.sweep()
        if self.shard is not None:
            result = RunResult(self.folder, self._manifest(), [], [])
            self._compute(result)
            return result
        result = RunResult(self.folder, self._manifest(), [], [])
        writer = RunWriter(self.folder, result.manifest)
        writer.begin()
        self._notify(result, "magdr_run_started", manifest=result.manifest, cells=self.total)
        self._compute(result)
        result.checks = with_badges(result.checks, result.cells)
        cells = result.cells
        roles = registered.roles(self.toolkit).values()
        figures = [figure for role in roles for figure in role.figures]
        result.rows = result_rows(self.toolkit.registry.name, cells, figures, self.report)
        result.manifest["figures"] = [f.as_json() for f in figures_of(result.rows, cells, figures)]
        writer.write(RESULTS, to_csv(result.rows).encode())
        writer.write_json(CELLS, [self._brief(cell) for cell in cells])
        writer.write(VALUES, pack_values(cells))
        writer.write_json(CHECKS, self._checks_file(result))
        if result.pictures:
            writer.write(PICTURES, pack_pictures(result.pictures))
        writer.finish()
        self._notify(result, "magdr_run_finished", manifest=result.manifest, rows=result.rows)
        return result

    def _notify(self, result: RunResult, event: str, **values: Any) -> None:
        failed = self.toolkit.host.notify(event, self.report, run=self.folder, **values)
        result.observers_failed |= failed

    def _compute(self, result: RunResult) -> None:
        def finished(cell: CellResult) -> None:
            told = {"threat": None, **cell.as_json()}
            self._notify(result, "magdr_cell_finished", cell=told)

        job = Job(
            self.toolkit,
            self.profile,
            self.groups,
            self.store,
            whole=self.shard is None,
            progress=self.progress,
            report=self.report,
            finished=finished,
        )
        for group in self.engine.run(job):
            result.cells += group.cells
            result.checks += group.checks
            result.pictures |= group.pictures

    def _brief(self, cell: CellResult) -> dict[str, Any]:
        if cell.failed:
            return cell.brief()
        role = role_of(registered.roles(self.toolkit), cell.facts.role, cell.facts.component)
        return {**cell.brief(), **role.brief(cell.as_json())}

    def _checks_file(self, result: RunResult) -> dict[str, Any]:
        settings = self.profile.checked
        return {
            "schema": CHECKS_SCHEMA,
            "settings": None if settings is None else settings.model_dump(),
            "rows": result.checks,
        }

    def _manifest(self) -> dict[str, Any]:
        device = self.toolkit.device
        told: dict[str, Any] = {}
        for scenario in registered.scenarios(self.toolkit).values():
            told |= scenario.manifest(self.toolkit, self.profile)
        return {
            "registry": self.toolkit.registry.name,
            "registry_file": self.toolkit.registry.path.name,
            "registry_text": self.toolkit.registry.text,
            "profile": self.name,
            "settings": self.profile.model_dump(),
            **told,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "engine": self.engine.name,
            "threads": self.engine.threads(self.toolkit),
            "versions": {name: version(name) for name in VERSIONS},
            "commit": _commit(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _commit() -> str:
    """The git commit of the working folder, or an empty text."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

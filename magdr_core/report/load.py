"""A run folder as the report takes it. Whatever is missing or damaged ends in one clear line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from magdr_core.measures.definitions import DEFINITIONS, Definitions
from magdr_core.results.cell import CellResult
from magdr_core.results.columns import Row
from magdr_core.results.recorded import RecordedRun

_METHODS = {"magdr": "MagDR"}
"""How methods are written, by what `use` says."""


@dataclass(frozen=True)
class RunData:
    """A run folder in memory."""

    folder: Path
    manifest: Mapping[str, Any]
    rows: Sequence[Row]
    cells: Sequence[CellResult]
    pictures: Mapping[tuple[str, ...], Tensor]
    checks: Mapping[str, Any] = field(default_factory=dict)
    """checks.json: the checked rows with their badges; empty where the run made no checks."""
    notes: Sequence[str] = ()
    """What a reader of the run should know, one line each."""
    definitions: Definitions = DEFINITIONS
    """The figures of its roles."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The profile."""
        return self.manifest["settings"]

    def listed(self, name: str) -> list[str]:
        """Labels in the profile's own order; empty where the profile leaves them out."""
        told = self.settings.get(name)
        return [str(label) for label in told] if isinstance(told, list | tuple) else []

    @property
    def ours(self) -> tuple[str, ...]:
        """The components, as `use` names them, whose rows are the method that the run is about."""
        return tuple(self.settings.get("ours", ("magdr",)))  # a run of 0.2 does not say

    @property
    def method(self) -> str:
        """What sentences call that method."""
        return " or ".join(_METHODS.get(use, use) for use in self.ours) or "no method"

    def uses(self, kind: str) -> dict[str, str]:
        """The component that each of the registry's labels of a kind stands for, whatever it is called."""
        tables = self._registry.get(kind)
        if not isinstance(tables, dict):
            return {}
        return {label: str(t.get("use", label)) for label, t in tables.items() if isinstance(t, dict)}

    @cached_property
    def _registry(self) -> Mapping[str, Any]:
        return tomllib.loads(self.manifest.get("registry_text", ""))


def without_channels(run: RunData) -> RunData:
    """A run with what reached the defender as it was published, and nothing else."""
    rows = [row for row in run.rows if not row.get("channel")]
    cells = [cell for cell in run.cells if not cell.facts.channel]
    return (
        run
        if len(rows) == len(run.rows) and len(cells) == len(run.cells)
        else replace(run, rows=rows, cells=cells)
    )


def load_run(folder: Path) -> RunData:
    """Read a run folder.

    Raises:
        MagdrError: a file that the report needs is missing or damaged, or the run is not finished.
    """
    run = RecordedRun(folder)
    run.check()
    return RunData(
        folder=folder,
        manifest=run.manifest,
        rows=run.rows(),
        cells=run.cells(),
        pictures=run.pictures(),
        checks=run.checks(),
        notes=run.notes,
        definitions=Definitions(run.figures()),
    )

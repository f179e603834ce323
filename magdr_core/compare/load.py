"""Reading two run folders for a comparison. Whatever is missing or damaged ends in one clear line."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from magdr_core.errors import MagdrError
from magdr_core.results.cell import check_cell
from magdr_core.results.recorded import AGAIN, RecordedRun
from magdr_core.results.run_folder import MANIFEST
from magdr_core.results.store import Store
from magdr_core.results.values import FILE, CellValues


@dataclass(frozen=True, eq=False)
class ComparedCell:
    """One cell of a run with what it measured on every sample."""

    key: str
    facts: Mapping[str, Any]
    values: CellValues
    forwards: float | None = None


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run folder in memory.

    Attributes:
        failures: facts of the cells that failed, with the `error`.
        notes: what a reader of the run should know, one line each.
    """

    folder: Path
    manifest: Mapping[str, Any]
    cells: Sequence[ComparedCell]
    failures: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()

    @cached_property
    def registry(self) -> Mapping[str, Any]:
        """The registry's tables."""
        return tomllib.loads(self.manifest["registry_text"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """The profile as it was run."""
        settings: Mapping[str, Any] = self.manifest["settings"]
        return settings


def load_compared(folder: Path, cache: Path) -> ComparedRun:
    """Read a run folder.

    Args:
        cache: the store that the run used; it is looked into only for runs whose folder has no per-sample
            values, as those of earlier versions have none.

    Raises:
        MagdrError: this is no finished run, or a file is damaged, or values are neither here nor there.
    """
    run = RecordedRun(folder)
    run.check()
    if "registry_text" not in run.manifest:
        raise MagdrError(f"{folder / MANIFEST}: not the manifest of a run: registry_text: it is missing")
    briefs = run.cells()
    good = [b for b in briefs if "error" not in b]
    values = _values(run, good, cache)
    return ComparedRun(
        folder,
        run.manifest,
        [ComparedCell(b["key"], b["facts"], values[b["key"]], b.get("forwards")) for b in good],
        [{**b["facts"], "error": str(b["error"])} for b in briefs if "error" in b],
        run.notes,
    )


def _values(run: RecordedRun, cells: Sequence[Mapping[str, Any]], cache: Path) -> Mapping[str, CellValues]:
    """Per-sample values by key: the folder's own, else the store's."""
    values = run.values()
    missing = dict.fromkeys(c["key"] for c in cells if c["key"] not in values)
    store = Store(cache)
    for key in list(missing):
        stored = store.json("cells", key, _has_values)
        if stored is not None:
            values[key] = CellValues.of(stored)
            del missing[key]
    if missing:
        raise MagdrError(
            f"{run.folder}: no per-sample values of {len(missing)} of its {len(cells)} cells. They are in "
            f"{FILE}, which runs of earlier versions lack, or in the cache of the run, which {str(cache)!r} "
            "is not: name it with --cache, or run the benchmark again"
        )
    for cell in cells:
        own = values[cell["key"]]
        if cell["facts"]["role"] == "detector" and not _judges(own):
            raise MagdrError(
                f"{run.folder / FILE}: damaged, cells.{cell['key'][:80]}: a detector without score, "
                f"thresholds `fpr` and `f1`, or rate; {AGAIN}"
            )
    return values


def _judges(values: CellValues) -> bool:
    return "score" in values.values and {"fpr", "f1"} <= set(values.thresholds) and math.isfinite(values.fpr)


def _has_values(data: Mapping[str, Any]) -> None:
    check_cell(data, str(data.get("key")), data.get("schema", 1))

"""Reading two run folders for a comparison. Whatever is missing or damaged ends in one clear line."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from magdr_core.components.figure import Figure
from magdr_core.errors import MagdrError
from magdr_core.hosting.discovery import installed_plugins
from magdr_core.measures.definitions import DEFINITIONS, ROLES, Definitions
from magdr_core.measures.statistics import statistic_of
from magdr_core.results.cell import CellResult, check_cell
from magdr_core.results.recorded import AGAIN, RecordedRun
from magdr_core.results.run_folder import MANIFEST, VALUES
from magdr_core.results.store import Store
from magdr_core.results.values import CellValues


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run folder in memory.

    Attributes:
        cells: with what they measured on every sample.
        failures: the cells that failed.
        notes: what a reader of the run should know, one line each.
        definitions: the figures of its roles.
    """

    folder: Path
    manifest: Mapping[str, Any]
    cells: Sequence[CellResult]
    failures: Sequence[CellResult]
    notes: Sequence[str] = ()
    definitions: Definitions = DEFINITIONS

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
    cells = run.cells()
    good = [cell for cell in cells if not cell.failed]
    definitions, notes = _known(run)
    return ComparedRun(
        folder,
        run.manifest,
        _with_values(run, good, cache),
        [cell for cell in cells if cell.failed],
        [*run.notes, *notes],
        definitions,
    )


def _known(run: RecordedRun) -> tuple[Definitions, list[str]]:
    """The figures of a run's roles, and what is to be said of those that cannot be computed here."""
    known, notes = [], []
    for figure in run.figures():
        try:
            if figure.role not in ROLES:
                _check_code(figure)
                statistic_of(figure)
            known.append(figure)
        except MagdrError as e:
            notes.append(f"{run.folder}: {e}: it is not compared")
    return Definitions(known), notes


def _check_code(figure: Figure) -> None:
    """A run folder may come from anywhere: it names code, but only an installed plugin's is run."""
    module, named, _ = figure.statistic.partition(":")
    packages = {entry.module.partition(".")[0] for entry in installed_plugins()[0].values()}
    if named and module.partition(".")[0] not in packages:
        raise MagdrError(
            f"figure {figure.name!r} of role {figure.role!r}: statistic {figure.statistic!r} belongs to no "
            "installed plugin"
        )


def _with_values(run: RecordedRun, cells: Sequence[CellResult], cache: Path) -> list[CellResult]:
    """Cells with their values per sample: the folder's own, else the store's."""
    values = run.values()
    store, found, missing = Store(cache), [], 0
    for cell in cells:
        if cell.key in values:
            found.append(values[cell.key].onto(cell))
        elif (stored := store.json("cells", cell.key, _has_values)) is not None:
            found.append(CellValues.of(CellResult.from_json(stored)).onto(cell))
        else:
            missing += 1
    if missing:
        raise MagdrError(
            f"{run.folder}: no per-sample values of {missing} of its {len(cells)} cells. They are in "
            f"{VALUES}, which runs of earlier versions lack, or in the cache of the run, which "
            f"{str(cache)!r} is not: name it with --cache, or run the benchmark again"
        )
    for cell in found:
        if cell.facts.role == "detector" and not _judges(cell):
            raise MagdrError(
                f"{run.folder / VALUES}: damaged, cells.{cell.key[:80]}: a detector without score, "
                f"thresholds `fpr` and `f1`, or rate; {AGAIN}"
            )
    return found


def _judges(cell: CellResult) -> bool:
    rate = cell.fpr is not None and math.isfinite(cell.fpr)
    return "score" in cell.values and {"fpr", "f1"} <= set(cell.thresholds) and rate


def _has_values(data: Mapping[str, Any]) -> None:
    check_cell(data, str(data.get("key")), data.get("schema", 1))

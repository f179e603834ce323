"""A submission checked: some of its images computed again, from its registry alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from magdr_core.bench.run import Bench
from magdr_core.calibration import Progress
from magdr_core.compare.align import Place
from magdr_core.compare.load import ComparedRun, load_compared
from magdr_core.components.fingerprints import digest
from magdr_core.errors import MagdrError
from magdr_core.registry.parsed import Registry
from magdr_core.registry.read import parse_registry, read_registry
from magdr_core.registry.settings import Checks
from magdr_core.results.cell import ADAPTIVE, CellResult
from magdr_core.toolkit import Toolkit

IMAGES = 8
TOLERANCE = 0.05


@dataclass(frozen=True)
class CheckedCell:
    """A cell that was computed again.

    Attributes:
        difference: largest difference of a value's mean over the images, as a share of that value's mean size
            in the whole cell.
        value: of which name.
        error: why it could not be computed; empty if it was.
    """

    place: Place
    difference: float
    value: str
    error: str = ""


@dataclass(frozen=True)
class SubmissionCheck:
    """What a check found.

    Attributes:
        ids: the images.
        cells: all that were computed again.
        adaptive: cells that were not, since what such an attack learns is of all images together.
        missing: cells that the registry asks for and the run has not.
    """

    ids: tuple[str, ...]
    cells: Sequence[CheckedCell]
    adaptive: int
    missing: Sequence[Place]
    tolerance: float

    @property
    def other(self) -> list[CheckedCell]:
        """Those that give something else."""
        return [c for c in self.cells if c.error or not c.difference <= self.tolerance]

    @property
    def holds(self) -> bool:
        return bool(self.cells) and not self.other and not self.missing


def check_run(
    folder: Path,
    registry: Path | None = None,
    *,
    images: int = IMAGES,
    tolerance: float = TOLERANCE,
    device: str | None = None,
    cache: Path = Path("runs/cache"),
    progress: Progress = lambda what, done, total: None,
    report: Callable[[str], None] = lambda message: None,
) -> SubmissionCheck:
    """Compute some images of a run again, in a store of their own, and compare.

    Which images a hash of the run's own values says: whoever submits cannot choose them.

    Args:
        registry: the file; None takes the text that the run folder keeps, where that needs no other file.
        images: how many, at most all of the run's.
        cache: the run's store, for runs of versions whose folders hold no values.

    Raises:
        MagdrError: the folder is no run, or the registry is not the one that the run says.
    """
    run = load_compared(folder, cache)
    resolved = _registry(run, registry)
    name, settings = str(run.manifest["profile"]), run.manifest["settings"]
    profile = resolved.profile(name)
    samples = int(settings.get("samples", profile.samples))
    count = min(images, samples)
    values = digest([[c.key, c.facts.as_json()] for c in run.cells])
    offset = int(values, 16) % (samples - count + 1)
    few = profile.model_copy(
        update={
            **{"first": profile.first + offset, "samples": count, "pictures": 0},
            **{"checks": Checks(faces=0), "adaptive": None},
        }
    )
    toolkit = Toolkit(replace(resolved, profiles={**resolved.profiles, name: few}), device=device)
    with tempfile.TemporaryDirectory(prefix="magdr-check-") as work:
        out = Path(work)
        again = Bench(
            toolkit, name, out=out / "run", cache=out / "cache", progress=progress, report=report
        ).run()
    recorded = {Place.of(c.facts): c for c in run.cells}
    cells, missing = [], []
    for cell in again.cells:
        place = Place.of(cell.facts)
        if place not in recorded:
            missing.append(place)
        elif cell.error is not None:
            cells.append(CheckedCell(place, np.inf, "", cell.error))
        else:
            cells.append(_compared(place, recorded[place], cell))
    ids = next((tuple(c.ids) for c in again.cells if not c.failed), ())
    adaptive = sum(c.facts.slice_role == ADAPTIVE for c in run.cells)
    return SubmissionCheck(ids, cells, adaptive, missing, tolerance)


def _registry(run: ComparedRun, path: Path | None) -> Registry:
    text = str(run.manifest["registry_text"])
    if path is not None:
        found = read_registry(path)
        if found.text != text:
            raise MagdrError(
                f"{path}: is not the registry of {run.folder}, whose text is registry_text of manifest.json"
            )
        return found
    if run.registry.get("plugins", {}).get("local"):
        raise MagdrError(
            f"{run.folder}: its registry names plugins in files beside it: give that registry with --registry"
        )
    return parse_registry(text, run.folder / str(run.manifest.get("registry_file") or "registry.toml"))


def _compared(place: Place, recorded: CellResult, again: CellResult) -> CheckedCell:
    rows = {name: i for i, name in enumerate(recorded.ids)}
    wanted = [rows.get(name) for name in again.ids]
    if None in wanted:
        return CheckedCell(place, np.inf, "", "other images than the run's")
    worst, which = 0.0, ""
    for name in again.values:
        before, now = recorded.array(name), again.array(name)
        if before is None or now is None:
            return CheckedCell(place, np.inf, name, f"the run has no {name}")
        size = float(np.abs(before).mean()) or 1.0
        own = abs(float(before[np.array(wanted, dtype=int)].mean()) - float(now.mean())) / size
        if own > worst:
            worst, which = own, name
    return CheckedCell(place, worst, which)

"""A calibrated defense in front of a task's generator, as the library hands it out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from magdr_core.calibration.calibrator import Calibrator, Progress
from magdr_core.errors import RegistryError, suggestion
from magdr_core.guards import GuardedFinder
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.inference import Pipeline
from magdr_core.inference.method import Method
from magdr_core.media.found import FinderOnDemand
from magdr_core.registry.parsed import Registry
from magdr_core.results.store import Store

REMEMBERED = 2**26
"""Bytes of generator outputs that a pipeline of the library keeps: enough for what one batch asks twice."""


class PipelineToolkit(Protocol):
    """The part of a toolkit that this needs."""

    @property
    def registry(self) -> Registry: ...

    @property
    def device(self) -> torch.device: ...

    def calibrator(
        self, task: str, dataset: str, store: Store, *, progress: Progress = ...
    ) -> Calibrator: ...

    def drawn(self, dataset: str) -> bool: ...

    def finder(self, label: str | None = None) -> GuardedFinder: ...


def calibrated_pipeline(
    toolkit: PipelineToolkit,
    task: str,
    defense: str,
    *,
    dataset: str | None,
    cache: Path,
    photographs: bool,
    progress: Progress,
    finder: str | None = None,
) -> Pipeline:
    """See `Toolkit.magdr`, which calls this.

    Raises:
        RegistryError: no such task or defense, or it only restores; faces of another size.
        CalibrationError: the registry names a calibration file that does not fit.
    """
    registry = toolkit.registry
    tasks = registry.labels("generator")
    if task not in tasks:
        raise RegistryError(f"{registry.path.name} has no [generator.{task}]{suggestion(task, tasks)}")
    chosen = dataset or registry.dataset_of(task)
    calibrator = toolkit.calibrator(task, chosen, Store(cache), progress=progress)
    generator = calibrator.generator
    computed = registry.calibration.file == "auto"  # a file may be of pictures of one's own
    if computed and calibrator.data.size != generator.size:
        raise RegistryError(
            f"{registry.path.name} [dataset.{chosen}]: its faces have {calibrator.data.size} pixels "
            f"a side, [generator.{task}] takes {generator.size}"
        )
    guarded = calibrator.defense(defense)
    if not isinstance(guarded.component, Method):
        raise RegistryError(f"[defense.{defense}] does not detect and reconstruct, as use = 'magdr' does")
    generator.memory = OutputMemory(REMEMBERED)
    doubt = ""
    if photographs and toolkit.drawn(chosen):
        doubt = "calibrated on drawn faces, so verdicts on photographs are guesses"
    return Pipeline(
        generator,
        guarded.component,
        device=toolkit.device,
        doubt=doubt,
        finder=FinderOnDemand(lambda: toolkit.finder(finder)),
    )

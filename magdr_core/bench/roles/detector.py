"""Detectors: how suspicious each image is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from magdr_core.bench import evaluate
from magdr_core.bench.steps import inside
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell, UnderAttack
from magdr_core.components.objective import symmetric_mse
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured
from magdr_core.components.task_run import Planning, Rng, TaskRun
from magdr_core.measures.definitions import DEFINITIONS


class DetectorRole(Role):
    """Scores, and the thresholds that its calibration gave."""

    name = "detector"
    plural = "detectors"
    kind = "detector"
    figures = tuple(DEFINITIONS.of("detector"))
    grows = True
    always_learns = True
    attackable = True
    checks_beside = 1.0  # the undisturbed output has to be looked at, too

    def applies_to(self, scenario: Scenario) -> bool:
        return True

    def fits(self, plan: Planning, label: str) -> Sequence[tuple[str, str]]:
        return ((self.name, label),)

    def component(self, run: TaskRun, cell: PlannedCell) -> Any:
        return run.calibrator.detector(cell.component)

    def calibration(self, run: TaskRun, label: str) -> str | None:
        found: str = run.calibrator.digest_of(self.kind, label)
        return found

    def wants_masks(self, run: TaskRun, label: str) -> bool:
        wanted: bool = run.calibrator.wants_oracle(self.kind, label)
        return wanted

    def measure(self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng) -> Measured:
        told = partial(run.progress, inside(f"detecting with {cell.component}"))
        values = evaluate.detector_values(seen, component.detector, run.G, rng, told)
        return Measured(values, self.attacked_extra(run, component))

    # -- attacks that know it ---------------------------------------------------------------------------

    def defended(self, run: TaskRun, cell: PlannedCell, component: Any, behind: str) -> UnderAttack:
        return UnderAttack(component, None, self.wants_masks(run, cell.component))

    def attacked_values(
        self, run: TaskRun, mode: str, seen: Samples, defended: UnderAttack, rng: Rng
    ) -> Mapping[str, list[float]]:
        """`score`, and `disruption`: undefended output MSE, [-1,1] units."""
        values = evaluate.detector_values(seen, defended.guarded, run.G, rng)
        y = evaluate.outputs(seen.images, seen, run.G)
        return {**values, "disruption": symmetric_mse(y, run.images.reference).tolist()}

    def attacked_extra(self, run: TaskRun, component: Any) -> Mapping[str, Any]:
        return {"thresholds": dict(component.thresholds), "fpr": run.toolkit.registry.calibration.fpr}

    # -- sanity checks ----------------------------------------------------------------------------------

    def checked(self, label: str) -> bool:
        return True

    def victim(self, run: TaskRun, label: str) -> Mapping[str, Any]:
        return {"detector": run.calibrator.detector(label)}

    def bare(self, run: TaskRun, label: str) -> Any:
        return run.calibrator.detector(label).detector.component

    def nature(self, run: TaskRun, label: str, gradient: str) -> Any:
        return "blind detector" if gradient == "none" else "detector"

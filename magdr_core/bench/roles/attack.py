"""Attacks: how far the generator's output goes from that on the clean image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from magdr_core.bench import evaluate, identities
from magdr_core.bench.roles.defense import parser_of
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Planning, Rng, TaskRun
from magdr_core.measures.definitions import DEFINITIONS


class AttackRole(Role):
    """What an attack does to a generator without any defense."""

    name = "attack"
    plural = "attacks"
    kind = "attack"
    figures = tuple(DEFINITIONS.of("attack"))
    schema = 3  # has `mse_o_changed` and `psnr_i`
    grows = True

    def depends_on(self, run: TaskRun, cell: PlannedCell) -> Mapping[str, Any]:
        return {**parser_of(run), **identities.measured_by(run, cell)}

    def check(self, plan: Planning) -> None:
        identities.check(plan)
        # The profile's own are looked at when their slices are planned.
        registry = plan.toolkit.registry
        for label in registry.calibration.attacks:
            plan.check(self.kind, label)
        for task in registry.tasks(plan.profile):
            for label, own in registry.instance("generator", task).attacks.items():
                plan.check(self.kind, label)
                plan.check(self.kind, own)

    def labels(self, plan: Planning, part: Slice) -> Sequence[str]:
        return (part.name,)

    def applies_to(self, scenario: Scenario) -> bool:
        return scenario.by_attack

    def undefended(self, label: str) -> bool:
        return True

    def component(self, run: TaskRun, cell: PlannedCell) -> Any:
        return run.toolkit.build(self.kind, cell.slice.label)

    def identity(self, run: TaskRun, cell: PlannedCell) -> Any:
        return run.toolkit.resolve(self.kind, cell.slice.label).identity

    def measure(self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng) -> Measured:
        clean = run.images.clean(False, cell.slice)
        reference, region = run.images.reference[: len(seen)], run.yardsticks.outputs.region
        if region is not None:
            region = region[: len(seen)]
        further = partial(identities.similarities, run)
        return Measured(
            evaluate.attack_values(clean, seen.images, run.G, component, reference, region, further)
        )

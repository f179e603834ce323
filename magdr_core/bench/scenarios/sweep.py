"""Detectors on checkpoints of one long run of each attack, after so many steps (the paper's Figure 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.scenarios.attack import ByAttack, attack_slice
from magdr_core.bench.scenarios.transfer import check_tasks_named, is_of
from magdr_core.bench.steps import batches
from magdr_core.components.batch import Samples
from magdr_core.components.rng import SampleRng
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, SharedImages, components_aside
from magdr_core.registry import scenario_tables
from magdr_core.runtime.samples import objective_of


class SweepScenario(ByAttack):
    """The profile's table `sweep`; one run of an attack gives all its points."""

    name = "sweep"
    key = "sweep"
    settings = scenario_tables.Sweep
    main = False

    def check(self, plan: Planning) -> None:
        if plan.profile.sweep is not None:
            check_tasks_named(plan, "sweep", plan.profile.sweep.generators)

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        sweep = plan.profile.sweep
        if sweep is None or not is_of(plan.task, sweep):
            return
        for label in sweep.attacks:
            part = attack_slice(plan, label, self.name)
            if not _steps_are_kept(plan, part.label):
                raise plan.fault(
                    f"sweep: attack {label!r} has no checkpoints of a run; "
                    "pgd, ifgsm, eq3 and the class-transferable attacks have"
                )
            for steps in sorted(set(sweep.steps)):
                yield replace(part, steps=steps, samples=sweep.samples)

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        return (replace(part, steps=max(plan.profile.sweep.steps)),)

    def point(self, part: Slice) -> str:
        return f" after {part.steps} steps"

    def variant(self, part: Slice) -> str:
        return f"sweep {part.steps}"

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        return {**super().images_key(images, part), "checkpoint": part.steps}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        """All checkpoints of the run that `part` is one of."""
        points = [replace(part, steps=n) for n in sorted({*images.profile.sweep.steps, part.steps})]
        attack = self.maker(images, part)
        parts: list[Tensor] = []
        for b in batches(clean, partial(images.progress, f"attacking ({part.name})")):
            rng = SampleRng(images.seed, f"attack/{part.component}", b.ids, device=b.images.device)
            found = attack.checkpoints(
                b.images, objective_of(attack, images.G, b), [p.steps for p in points], rng=rng
            )
            parts.append(torch.stack(found, 1))
        return dict(zip(points, torch.cat(parts).unbind(1), strict=True))


def _steps_are_kept(plan: Planning, attack: str) -> bool:
    """Whether an attack has the checkpoints of a run; True of one that cannot be had."""
    with components_aside():
        return hasattr(plan.toolkit.build("attack", attack).component, "checkpoints")
    return True

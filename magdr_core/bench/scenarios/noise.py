"""Random noise as strong as each attack: a detector of noise is no detector of attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from magdr_core.bench.scenarios.attack import ByAttack
from magdr_core.components.batch import Samples
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, SharedImages


class NoiseScenario(ByAttack):
    """Beside every attack, where some role of the profile asks for it: detectors and forensic models do."""

    name = "noise"
    main = False
    by_attack = False  # it has no figures as an attack

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        if not self.wanted(plan):
            return
        attacks = [part for part in earlier if plan.scenarios[part.scenario].by_attack]
        there = {part.eps for part in attacks if part.is_noise}
        for eps in dict.fromkeys(part.eps for part in attacks if part.steps):
            if eps not in there:
                yield Slice(f"noise@{eps * 255:g}", self.name, "noise", "noise", eps, 1)

    def attack(self, toolkit: Any, part: Slice) -> tuple[Any, Mapping[str, Any]] | None:
        # Noise of an attack's strength has no table of its own.
        return toolkit.sibling("attack", part.component, eps=part.eps), {"eps": part.eps}

    def maker(self, images: SharedImages, part: Slice) -> Any:
        return images.toolkit.sibling("attack", part.component, eps=part.eps)

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        return {**super().images_key(images, part), "noise": part.eps}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        return {part: self.attacked(images, part, clean, images.G)}

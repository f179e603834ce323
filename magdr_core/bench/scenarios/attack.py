"""Attacks that know the generator and nothing of any defense: each of the profile's `attacks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.steps import batches
from magdr_core.components.batch import Samples
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, SharedImages
from magdr_core.runtime.samples import attack_samples


def attack_slice(plan: Planning, label: str, scenario: str = "attack") -> Slice:
    """The slice of an attack, as its registry table says; tables of results call it by the profile's label,
    whichever attack that means on the task.

    Raises:
        RegistryError: there is no such attack.
    """
    own = plan.toolkit.registry.attack_on(plan.task, label)
    resolved = plan.check("attack", own)
    if resolved is None:  # nobody can say how strong it would have been
        return Slice(label, scenario, own, plan.used("attack", own))
    eps, steps = resolved.entry.spec.strength(resolved.params), int(resolved.params.get("steps", 1))
    return Slice(label, scenario, own, resolved.entry.name, eps, steps)


class ByAttack(Scenario):
    """Scenarios whose images the attack of a registry's table makes."""

    by_attack = True
    grows = True

    def attack(self, toolkit: Any, part: Slice) -> tuple[Any, Mapping[str, Any]] | None:
        return toolkit.build("attack", part.label), toolkit.resolve("attack", part.label).params

    def learned_on(self, part: Slice) -> str:
        """The label of the generator that an attack which learns knows; the task's own if empty."""
        return ""

    def maker(self, images: SharedImages, part: Slice) -> Any:
        """The slice's attack, ready to be called: one that learns has learned."""
        return images.attack(part.label, self.learned_on(part))

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        learned = images.learned(part.label, self.learned_on(part))
        return {
            **super().images_key(images, part),
            "slice": images.toolkit.resolve("attack", part.label).identity,
            **({} if learned is None else {"learned": learned}),
        }

    def attacked(self, images: SharedImages, part: Slice, clean: Samples, G: Any) -> Tensor:
        """What the slice's attack makes of the images with this generator, batch by batch: `[B,3,H,W]`,
        8-bit."""
        attack = self.maker(images, part)
        parts: list[Tensor] = []
        for b in batches(clean, partial(images.progress, f"attacking ({part.name})")):
            parts.append(attack_samples(b, attack, G, name=part.component, seed=images.seed))
        return torch.cat(parts)


class AttackScenario(ByAttack):
    """Who attacks knows the generator and the condition."""

    name = "attack"

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterable[Slice]:
        return [attack_slice(plan, label) for label in plan.profile.attacks]

    def checked(self, part: Slice) -> bool:
        return not part.is_noise

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        return {part: self.attacked(images, part, clean, images.G)}

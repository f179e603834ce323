"""Hiding a forgery from a model that the attacker knows: fakes are attacked, reals are not, labels stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.objective import with_gradient
from magdr_core.components.protocols import ImageMap
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Planning, Rng, SharedImages, TaskRun
from magdr_core.forensics.making import family_of
from magdr_core.forensics.scenarios import EVASION, FORGED, source_of
from magdr_core.guards import GuardedAttack


class ScoreObjective:
    """What an attack maximises that hides forgeries: how far a model's score is below nought.

    It has all that an attack may ask of an objective. There is one aim for all pictures, so its part for some
    of them is itself.

    Args:
        score: the model's, `[B,3,H,W]` in [0,1] -> `[B]`, differentiable.
        threshold: up to which a picture is not flagged.
    """

    def __init__(self, score: Any, threshold: float) -> None:
        self.score, self.threshold = score, threshold

    def __call__(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` -> `[B]`, higher is better hidden."""
        loss: Tensor = -self.score(x)
        return loss

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(loss `[B]`, its gradient `[B,3,H,W]`), both without a graph."""
        return with_gradient(self, x)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(loss `[B]`, the same once more, bool `[B]`: not flagged), without gradients."""
        loss = self(x)
        return loss, loss, -loss <= self.threshold

    def goal(self, tau: float) -> float:
        """The loss from which on a picture is not flagged, whatever `tau` is."""
        return -self.threshold

    def select(self, idx: Tensor) -> ScoreObjective:
        """For some of the pictures, by indices `[n]` or booleans `[B]`: the same."""
        return self

    def preprocessed(self, f: ImageMap) -> ScoreObjective:
        return ScoreObjective(lambda x: self.score(f(x)), self.threshold)

    def postprocessed(self, f: ImageMap) -> ScoreObjective:
        """A score is no picture to be processed: the same."""
        return self

    def classes(self, *, first_reference: bool = False) -> Sequence[ScoreObjective]:
        return [self]


class EvasionScenario(Scenario):
    """Each of a profile's `evasions`, which are attacks, against each model on its untouched forgeries."""

    name = EVASION
    key = "evasions"
    main = False
    per_cell = True

    def check(self, plan: Planning) -> None:
        for label in self.configured(plan.profile) or ():
            plan.check("attack", label)

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        if not self.wanted(plan):
            return
        for label in self.configured(plan.profile) or ():
            resolved = plan.check("attack", label)
            params = {} if resolved is None else resolved.params
            eps, steps = float(params.get("eps", 0)), int(params.get("steps", 1))
            for source in earlier:
                if source.scenario == FORGED and not family_of(plan.toolkit, source.label).null:
                    name, use = f"{source.name}+{label}", plan.used("attack", label)
                    yield Slice(name, self.name, label, use, eps, steps, settings=source)

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        return (source_of(part),)

    def knowledge(self, part: Slice, *, undefended: bool) -> str:
        return "adaptive"

    def knows(self, knowledge: str) -> str:
        return "the forensic model with its gradient and threshold, and that the picture is forged"

    def columns(self, part: Slice) -> Mapping[str, Any]:
        return {"attack": source_of(part).name}

    def variant(self, part: Slice) -> str:
        return f"under {part.label}"

    def point(self, part: Slice) -> str:
        return f" under {part.label}"

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        attack = images.toolkit.resolve("attack", part.label).identity
        return {**super().images_key(images, part), "slice": attack, "of": images.key(source_of(part))}

    def prepare(self, images: SharedImages, part: Slice) -> None:
        images.of(source_of(part))

    def measure(self, run: TaskRun, cell: Any, role: Any, component: Any, rng: Rng) -> Measured:
        part: Slice = cell.slice
        attack: GuardedAttack = run.toolkit.build("attack", part.label)
        if attack.learns:
            raise attack.fail("learns on a generator, so it cannot be aimed at a forensic model")
        objective = ScoreObjective(component.model.score, component.threshold)
        fakes = run.images.clean(False, part).with_images(run.images.of(source_of(part)))
        hidden = []
        for batch in fakes.batches("test"):
            own = run.toolkit.rng(f"evasion/{part.component}", batch.ids, run.seed)
            hidden.append(attack(batch.images, objective, rng=own))
        measured: Measured = role.measure(run, cell, fakes.with_images(torch.cat(hidden)), component, rng)
        return measured

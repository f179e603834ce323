"""Disruption of whichever edit will be asked for (Ruiz et al., arXiv 2003.01279, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import project_linf

from ._sign_steps import DEFAULT_STEP, Mean, sign_checkpoints

MAGDR_API = 1

CITE = "Ruiz et al., Disrupting Deepfakes, 2020 (arXiv 2003.01279)"
Steps = Annotated[int, Field(ge=1, le=100_000)]


class JointClasses:
    """Disrupts all of a generator's conditions at once: one perturbation for whichever edit comes.

    Sign steps on the mean loss over every condition that the face could be given; the best iterate.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps; each takes a forward and backward pass per class.
        step: step size in [0,1] units; 0 means eps / 5, the public code's ratio.
        first_reference: get away from the first class's clean output in every class, as the public code does.
    """

    def __init__(
        self, *, eps: Eps = 6 / 255, steps: Steps = 10, step: Eps = 0.0, first_reference: bool = False
    ) -> None:
        self.eps = eps
        self.steps = steps
        self.step = step
        self.step_size = step or DEFAULT_STEP * eps
        self.first_reference = first_reference

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        return self.checkpoints(x, objective, [self.steps], rng=rng)[0]

    def checkpoints(
        self, x: Tensor, objective: Objective, steps: Sequence[int], *, rng: SampleRng
    ) -> list[Tensor]:
        start = x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        classes = objective.classes(first_reference=self.first_reference)
        return sign_checkpoints(start, x, Mean(lambda: classes), self.eps, steps, self.step)


class IterativeClasses(JointClasses):
    """Disrupts a generator's conditions one after the other, a step each.

    The last iterate is taken, since losses of different classes do not compare.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps; each takes one forward and backward pass, for the next class in turn.
        step: step size in [0,1] units; 0 means eps / 5, the public code's ratio.
        first_reference: get away from the first class's clean output in every class, as the public
            code does.
    """

    def checkpoints(
        self, x: Tensor, objective: Objective, steps: Sequence[int], *, rng: SampleRng
    ) -> list[Tensor]:
        size = self.step or DEFAULT_STEP * self.eps
        current = project_linf(x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0), x, self.eps)
        classes = objective.classes(first_reference=self.first_reference)
        after: dict[int, Tensor] = {}
        for number in range(1, max(steps) + 1):
            _, gradient = classes[(number - 1) % len(classes)].gradient(current)
            current = project_linf(current + size * gradient.sign(), x, self.eps)
            if number in steps:
                after[number] = current
        return [after[number] for number in steps]


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(name="joint-classes", build=JointClasses, stochastic=True, cite=CITE),
        AttackSpec(name="iterative-classes", build=IterativeClasses, stochastic=True, cite=CITE),
    ]

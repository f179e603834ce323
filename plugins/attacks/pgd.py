"""Projected gradient ascent on the disruption (Madry et al., ICLR 2018; Ruiz et al., arXiv 2003.01279)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl

from ._sign_steps import DEFAULT_STEP, sign_checkpoints

MAGDR_API = 1


class PGD:
    """Projected gradient ascent with a random start, best iterate kept.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps.
        step: step size in [0,1] units; 0 means eps / 5, the public code's ratio.
    """

    def __init__(
        self,
        *,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 30,
        step: Eps = 0.0,
    ) -> None:
        self.eps = eps
        self.steps = steps
        self.step = step
        self.step_size = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        return self.checkpoints(x, objective, [self.steps], rng=rng)[0]

    def checkpoints(
        self, x: Tensor, objective: Objective, steps: Sequence[int], *, rng: SampleRng
    ) -> list[Tensor]:
        start = x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        return sign_checkpoints(start, x, objective, self.eps, steps, self.step)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="pgd",
            build=PGD,
            stochastic=True,
            cite="Madry et al., ICLR 2018; Ruiz et al., Disrupting Deepfakes, 2020 (arXiv 2003.01279)",
        )
    ]

"""Iterative fast gradient sign method (Kurakin et al., ICLR 2017 workshop; Ruiz et al., arXiv 2003.01279)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl

from ._sign_steps import DEFAULT_STEP, sign_checkpoints

MAGDR_API = 1

JITTER = 0.0005
"""Half-width of the start's jitter in [0,1] units (.001 in [-1,1] units, what the public disruption code
suggests): the gradient of MSE(G(x), G(x0)) is exactly zero at x0, so a start at x0 would never move."""


class IFGSM:
    """Iterated gradient signs from the image itself (but for a tiny jitter), best iterate kept.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps.
        step: step size in [0,1] units; 0 means eps / 5, the public code's ratio.
    """

    def __init__(
        self,
        *,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 10,
        step: Eps = 0.0,
    ) -> None:
        self.eps = eps
        self.steps = steps
        self.step = step
        self.step_size = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1]."""
        return self.checkpoints(x, objective, [self.steps], rng=rng)[0]

    def checkpoints(
        self, x: Tensor, objective: Objective, steps: Sequence[int], *, rng: SampleRng
    ) -> list[Tensor]:
        jitter = rng.uniform(*x.shape[1:], low=-JITTER, high=JITTER)
        return sign_checkpoints(x + jitter, x, objective, self.eps, steps, self.step)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="ifgsm",
            build=IFGSM,
            stochastic=True,
            cite="Kurakin et al., 2017; Ruiz et al., Disrupting Deepfakes, 2020 (arXiv 2003.01279)",
        )
    ]

"""Iterative fast gradient sign method (Kurakin et al., ICLR 2017 workshop; Ruiz et al., arXiv 2003.01279)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import project_linf

MAGDR_API = 1

JITTER = 0.0005
"""Half-width of the start's jitter in [0,1] units (.001 in [-1,1] units, what the public disruption code
suggests): the gradient of MSE(G(x), G(x0)) is exactly zero at x0, so a start at x0 would never move."""

DEFAULT_STEP = 0.2
"""Step over eps in the public disruption code (.01 and .05 in [-1,1] units)."""


class IFGSM:
    """Sign steps inside the eps ball from the image itself; the best iterate per image is returned.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps.
        step: step size in [0,1] units; 0 means eps / 5, the public code's ratio.
    """

    def __init__(self, eps: float, steps: int, step: float) -> None:
        self.eps = eps
        self.steps = steps
        self.step = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1]."""
        jitter = rng.uniform(*x.shape[1:], low=-JITTER, high=JITTER)
        current = project_linf(x + jitter, x, self.eps)
        best, best_loss = current, torch.full((len(x),), -torch.inf, device=x.device)
        for _ in range(self.steps):
            loss, gradient = objective.gradient(current)
            best, best_loss = _better(current, loss, best, best_loss)
            current = project_linf(current + self.step * gradient.sign(), x, self.eps)
        loss, _, _ = objective.evaluate(current)
        return _better(current, loss, best, best_loss)[0]


def _better(x: Tensor, loss: Tensor, best: Tensor, best_loss: Tensor) -> tuple[Tensor, Tensor]:
    wins = loss > best_loss
    return torch.where(wins[:, None, None, None], x, best), torch.where(wins, loss, best_loss)


def ifgsm(
    *,
    eps: Eps = 6 / 255,
    steps: Annotated[int, Field(ge=1, le=100_000)] = 10,
    step: Eps = 0.0,
) -> IFGSM:
    """Iterated gradient signs from the image itself (but for a tiny jitter), best iterate kept."""
    return IFGSM(eps, steps, step)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="ifgsm",
            build=ifgsm,
            stochastic=True,
            cite="Kurakin et al., 2017; Ruiz et al., Disrupting Deepfakes, 2020 (arXiv 2003.01279)",
        )
    ]

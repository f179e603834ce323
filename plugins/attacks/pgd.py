"""Projected gradient ascent on the disruption (Madry et al., ICLR 2018; Ruiz et al., arXiv 2003.01279)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import project_linf

MAGDR_API = 1

DEFAULT_STEP = 0.2
"""Step over eps in the public disruption code (.01 and .05 in [-1,1] units)."""


class PGD:
    """Sign steps inside the eps ball from a random start; the best iterate per image is returned.

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
        start = x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        current = project_linf(start, x, self.eps)
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


def pgd(
    *,
    eps: Eps = 6 / 255,
    steps: Annotated[int, Field(ge=1, le=100_000)] = 30,
    step: Eps = 0.0,
) -> PGD:
    """Projected gradient ascent with a random start, best iterate kept."""
    return PGD(eps, steps, step)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="pgd",
            build=pgd,
            stochastic=True,
            cite="Madry et al., ICLR 2018; Ruiz et al., Disrupting Deepfakes, 2020 (arXiv 2003.01279)",
        )
    ]

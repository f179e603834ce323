"""Auto-PGD: step sizes that follow the progress (Croce & Hein, ICML 2020, arXiv 2003.01690).

A check of strength: an attack of fixed steps that it clearly beats was not converged. There is no classifier
here, so that of the paper's losses none is needed: it ascends the disruption itself.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import project_linf

from ._sign_steps import better

MAGDR_API = 1

FIRST_PERIOD, SHORTER, LEAST_PERIOD = 0.22, 0.03, 0.06
"""Shares of the steps: the first period between two decisions, by how much each is shorter than the one
before, and the shortest."""

PROGRESS = 0.75
"""Share of a period's steps that have to raise the loss; else the step is halved."""

MOMENTUM = 0.75
"""Weight of the new step beside the last one."""


class APGD:
    """Auto-PGD on the disruption, best iterate kept.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps of each start.
        restarts: random starts; the best one is kept for each image.
    """

    def __init__(
        self,
        *,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 100,
        restarts: Annotated[int, Field(ge=1, le=1000)] = 1,
    ) -> None:
        self.eps, self.steps, self.restarts = eps, steps, restarts
        self.step_size = 2 * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1]."""
        best, best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)
        for number in range(self.restarts):
            noise = rng.fork(number).uniform(*x.shape[1:], low=-1.0, high=1.0)
            found, loss = self._run(x, objective, x + self.eps * noise)
            best, best_loss = better(found, loss, best, best_loss)
        return best

    def _run(self, x: Tensor, objective: Objective, start: Tensor) -> tuple[Tensor, Tensor]:
        """Algorithm 1: (the best iterate, `[B,3,H,W]`; its loss, `[B]`)."""
        current = project_linf(start, x, self.eps)
        loss, slope = objective.gradient(current)
        before, best, best_loss, best_slope = current, current, loss, slope
        step = torch.full((len(x), 1, 1, 1), 2 * self.eps, device=x.device)
        rises = torch.zeros(len(x), device=x.device)
        halved = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        last_best = best_loss
        decisions = _decisions(self.steps)
        since = 0
        for number in range(1, self.steps + 1):
            straight = project_linf(current + step * slope.sign(), x, self.eps)
            weight = MOMENTUM if number > 1 else 1.0
            moved = current + weight * (straight - current) + (1 - weight) * (current - before)
            before, current = current, project_linf(moved, x, self.eps)
            old = loss
            loss, slope = objective.gradient(current)
            rises = rises + (loss > old)
            wins = (loss > best_loss)[:, None, None, None]
            best_slope = torch.where(wins, slope, best_slope)
            best, best_loss = better(current, loss, best, best_loss)
            since += 1
            if number in decisions:
                slow = rises < PROGRESS * since
                stuck = ~halved & (best_loss <= last_best)
                halved, last_best = slow | stuck, best_loss
                back = halved[:, None, None, None]
                step = torch.where(back, step / 2, step)
                current, slope = torch.where(back, best, current), torch.where(back, best_slope, slope)
                before, loss = torch.where(back, best, before), torch.where(halved, best_loss, loss)
                rises, since = torch.zeros_like(rises), 0
        return best, best_loss


def _decisions(steps: int) -> set[int]:
    """The numbers of the steps after which step sizes are looked at."""
    period, shorter, least = (max(1, int(share * steps)) for share in (FIRST_PERIOD, SHORTER, LEAST_PERIOD))
    found, number = set(), period
    while number <= steps:
        found.add(number)
        period = max(period - shorter, least)
        number += period
    return found


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="apgd",
            build=APGD,
            stochastic=True,
            cite="Croce & Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse "
            "Parameter-free Attacks, ICML 2020 (arXiv 2003.01690)",
        )
    ]

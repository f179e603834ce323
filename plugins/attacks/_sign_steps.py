"""Signed gradient steps inside the eps ball, which several attacks share; they differ in start and aim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from magdr_core.functional import project_linf

DEFAULT_STEP = 0.2
"""Step over eps in the public disruption code (.01 and .05 in [-1,1] units)."""


class Ascended(Protocol):
    """The part of an objective that is needed here."""

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]: ...

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...


class Mean:
    """The mean of several objectives, with the outputs of the first.

    Args:
        objectives: gives them, anew at every look.
    """

    def __init__(self, objectives: Callable[[], Sequence[Ascended]]) -> None:
        self.objectives = objectives

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = [one.gradient(x) for one in self.objectives()]
        loss = torch.stack([loss for loss, _ in found]).mean(0)
        return loss, torch.stack([gradient for _, gradient in found]).mean(0)

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = [one.evaluate(x) for one in self.objectives()]
        loss, disruption = (torch.stack([f[i] for f in found]).mean(0) for i in (0, 1))
        return loss, disruption, found[0][2]


def sign_steps(start: Tensor, x: Tensor, objective: Ascended, eps: float, steps: int, step: float) -> Tensor:
    """Ascend the objective from `start`; per image the iterate of highest loss, `[B,3,H,W]`.

    Args:
        x: the clean images, the centres of the balls.
        step: size of a step in [0,1] units; 0 means eps / 5.
    """
    return sign_checkpoints(start, x, objective, eps, [steps], step)[0]


def sign_checkpoints(
    start: Tensor, x: Tensor, objective: Ascended, eps: float, at: Sequence[int], step: float
) -> list[Tensor]:
    """What :func:`sign_steps` gives for each number of steps in `at`, from one run of the longest."""
    size = step or DEFAULT_STEP * eps
    current = project_linf(start, x, eps)
    best, best_loss = current, torch.full((len(x),), -torch.inf, device=x.device)
    after: dict[int, Tensor] = {}
    for number in range(max(at)):
        loss, gradient = objective.gradient(current)
        best, best_loss = better(current, loss, best, best_loss)
        if number in at:
            after[number] = best
        current = project_linf(current + size * gradient.sign(), x, eps)
    loss, _, _ = objective.evaluate(current)
    after[max(at)] = better(current, loss, best, best_loss)[0]
    return [after[number] for number in at]


def better(x: Tensor, loss: Tensor, best: Tensor, best_loss: Tensor) -> tuple[Tensor, Tensor]:
    """The images of higher loss, `[B,3,H,W]`, and their losses, `[B]`."""
    wins = loss > best_loss
    return torch.where(wins[:, None, None, None], x, best), torch.where(wins, loss, best_loss)

"""Signed gradient steps inside the eps ball, which I-FGSM and PGD share; they differ in where they start."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import Objective
from magdr_core.functional import project_linf

DEFAULT_STEP = 0.2
"""Step over eps in the public disruption code (.01 and .05 in [-1,1] units)."""


def sign_steps(start: Tensor, x: Tensor, objective: Objective, eps: float, steps: int, step: float) -> Tensor:
    """Ascend the objective from `start`; per image the iterate of highest loss, `[B,3,H,W]`.

    Args:
        x: the clean images, the centres of the balls.
        step: size of a step in [0,1] units; 0 means eps / 5.
    """
    size = step or DEFAULT_STEP * eps
    current = project_linf(start, x, eps)
    best, best_loss = current, torch.full((len(x),), -torch.inf, device=x.device)
    for _ in range(steps):
        loss, gradient = objective.gradient(current)
        best, best_loss = _better(current, loss, best, best_loss)
        current = project_linf(current + size * gradient.sign(), x, eps)
    loss, _, _ = objective.evaluate(current)
    return _better(current, loss, best, best_loss)[0]


def _better(x: Tensor, loss: Tensor, best: Tensor, best_loss: Tensor) -> tuple[Tensor, Tensor]:
    wins = loss > best_loss
    return torch.where(wins[:, None, None, None], x, best), torch.where(wins, loss, best_loss)

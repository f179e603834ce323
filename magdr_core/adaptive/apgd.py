"""APGD: gradient ascent in the eps ball whose step sizes adapt, image by image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional import project_linf

MOMENTUM = 0.75
FIRST_STEP = 32 / 255
"""The longest first step: in balls so large that twice their radius says nothing."""

ENOUGH = 0.75
"""Share of the steps since the last mark that must have risen, else the step is halved."""


def marks(steps: int) -> list[int]:
    """The steps at which progress is looked at (Croce and Hein, ICML 2020, section 4.1)."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return sorted({n for share in shares[1:] if 0 < (n := math.ceil(share * steps - 1e-9)) < steps})


class Ascent:
    """The moves of one run.

    Args:
        start: `[B,3,H,W]`.
        clean: the centres of the balls.
        eps: L-infinity bound in [0,1] units; the first step is twice as long, up to `FIRST_STEP`.
        steps: moves of the whole run.

    Attributes:
        x: the current points, whose merit and gradient `move` is to be told.
        step: `[B]`, the current step sizes.
    """

    def __init__(self, start: Tensor, clean: Tensor, eps: float, steps: int) -> None:
        self.clean, self.eps = clean, eps
        self.x = self._before = project_linf(start, clean, eps)
        self.step = torch.full((len(clean),), min(2.0 * eps, FIRST_STEP), device=clean.device)
        self._marks = marks(steps)
        self._moves = self._mark = 0
        low = torch.full_like(self.step, -torch.inf, dtype=torch.float64)
        self._best, self._last, self._best_at_mark = low, low, low
        self._best_x, self._best_gradient = self.x, torch.zeros_like(self.x)
        self._rises = torch.zeros_like(self.step)
        self._halved = torch.zeros_like(self.step, dtype=torch.bool)

    def move(self, merit: Tensor, gradient: Tensor) -> None:
        """One step, given the merit `[B]` and the gradient `[B,3,H,W]` at `x`."""
        merit = merit.double()
        wins = merit > self._best
        self._best = torch.where(wins, merit, self._best)
        self._best_x = torch.where(_wide(wins), self.x, self._best_x)
        self._best_gradient = torch.where(_wide(wins), gradient, self._best_gradient)
        if self._moves:
            self._rises += merit > self._last
        self._last = merit
        if self._moves in self._marks:
            gradient = self._look_back(gradient)
        ahead = project_linf(self.x + _wide(self.step) * gradient.sign(), self.clean, self.eps)
        if self._moves:
            ahead = self.x + MOMENTUM * (ahead - self.x) + (1 - MOMENTUM) * (self.x - self._before)
            ahead = project_linf(ahead, self.clean, self.eps)
        self._before, self.x = self.x, ahead
        self._moves += 1

    def _look_back(self, gradient: Tensor) -> Tensor:
        few = self._rises < ENOUGH * (self._moves - self._mark)
        stuck = ~self._halved & (self._best <= self._best_at_mark)
        cut = few | stuck
        self.step = torch.where(cut, self.step / 2, self.step)
        self.x = torch.where(_wide(cut), self._best_x, self.x)
        self._before = torch.where(_wide(cut), self._best_x, self._before)
        self._last = torch.where(cut, self._best, self._last)
        self._halved, self._best_at_mark, self._mark = cut, self._best, self._moves
        self._rises = torch.zeros_like(self._rises)
        return torch.where(_wide(cut), self._best_gradient, gradient)


def _wide(per_image: Tensor) -> Tensor:
    return per_image[:, None, None, None]

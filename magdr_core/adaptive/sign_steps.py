"""Gradient ascent in the eps ball: signs of a momentum of normalised gradients, steps that get shorter.

An ascent whose steps depend on whether its objective rises (APGD, Croce and Hein, ICML 2020) halves them at
every crossing of a detector's threshold, and its first step of twice the radius puts early iterates on
vertices of the ball. A fixed schedule that begins with three eighths of the radius does more undetected.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.adaptive.shapes import Shape, everywhere
from magdr_core.functional import project_linf

MOMENTUM = 0.75
FIRST, LAST = 3 / 8, 1 / 24
"""Lengths of the first and the last step as shares of eps: 2.25/255 and .25/255 at 6/255."""

LONGEST = 12 / 255
"""Of any step, in [0,1] units: in balls so large that their radius says nothing."""


def length(step: int, steps: int) -> float:
    """The length of a step, numbered from 0, of so many, as a share of eps: falls by half a cosine."""
    done = step / (steps - 1) if steps > 1 else 0.0
    return LAST + (FIRST - LAST) * (1 + math.cos(math.pi * done)) / 2


class Ascent:
    """The moves of one run.

    Args:
        start: `[B,3,H,W]`.
        clean: the centres of the balls.
        eps: L-infinity bound in [0,1] units.
        steps: moves of the whole run.
        shape: what is made of each gradient, `[B,3,H,W]` -> same.

    Attributes:
        x: the current points, whose gradient `move` is to be told.
    """

    def __init__(
        self, start: Tensor, clean: Tensor, eps: float, steps: int, shape: Shape = everywhere
    ) -> None:
        self.clean, self.eps, self.steps, self.shape = clean, eps, steps, shape
        self.x = project_linf(start, clean, eps)
        self._momentum = torch.zeros_like(self.x)
        self._moves = 0

    def move(self, gradient: Tensor) -> None:
        """One step, given the gradient `[B,3,H,W]` at `x`; where it is zero the momentum goes on alone."""
        size = gradient.abs().flatten(1).mean(1)[:, None, None, None]
        self._momentum = MOMENTUM * self._momentum + gradient / size.clamp_min(torch.finfo(size.dtype).tiny)
        step = min(length(self._moves, self.steps) * self.eps, LONGEST)
        ahead = self.x + step * self.shape(self._momentum).sign()
        self.x = project_linf(ahead, self.clean, self.eps)
        self._moves += 1

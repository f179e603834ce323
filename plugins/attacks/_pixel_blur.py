"""Hiding a forgery by blur: how much each pixel is blurred is searched for, the label is kept.

There is no eps ball: what bounds the attack is the least precision, the strongest blur that a pixel may get.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import Objective
from magdr_core.functional import pixelwise_blur, to_8bit

START = 4.0
"""Precision above the least one from which the search begins: nearly no blur at 3x3."""


class PixelBlur:
    """Ascent on an objective over the precision at every pixel, `s = s_min + u^2`, by signs.

    Args:
        s_min: the strongest blur: 1 is weights of 1, .61 and .37 in a 3x3 window, 0 the window's mean.
        radius: of the window.
        steps: gradient evaluations.
        step: length of a step of u.
    """

    def __init__(self, *, s_min: float = 1.0, radius: int = 1, steps: int = 12, step: float = 0.4) -> None:
        self.s_min, self.radius, self.steps, self.step = s_min, radius, steps, step

    def __call__(self, x: Tensor, objective: Objective) -> Tensor:
        """The best blurred pictures seen, 8-bit, `[B,3,H,W]` in [0,1] -> same; a picture on which nothing
        helped stays as it was."""
        u = torch.full_like(x[:, :1], START**0.5)
        best, reached = x, objective.evaluate(x)[0]
        for _ in range(self.steps):
            with torch.enable_grad():
                u = u.detach().requires_grad_(True)
                loss = objective(self._blurred(x, u))
                (gradient,) = torch.autograd.grad(loss.sum(), u)
            u = u.detach() + self.step * gradient.sign()
            shown = to_8bit(self._blurred(x, u).detach())
            loss = objective.evaluate(shown)[0]
            better = loss > reached
            best = torch.where(better[:, None, None, None], shown, best)
            reached = torch.where(better, loss, reached)
        return best

    def _blurred(self, x: Tensor, u: Tensor) -> Tensor:
        return pixelwise_blur(x, self.s_min + u.square(), radius=self.radius)

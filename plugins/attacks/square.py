"""Square attack: random squares, no gradients (Andriushchenko et al., ECCV 2020, arXiv 1912.00049).

A check of gradients: where it does more than an attack along them, they lead nowhere. It only asks for
losses, as somebody would who can use a generator and cannot see into it.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl

MAGDR_API = 1

HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10,000, after which squares are half as large in area."""


class Square:
    """The best of random squares, each kept where it raises the loss.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps: queries, passes of the generator without gradients.
        share: share of the image's area that the first squares have.
    """

    def __init__(
        self,
        *,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=1_000_000)] = 500,
        share: Annotated[float, Field(gt=0, le=1)] = 0.05,
    ) -> None:
        self.eps, self.steps, self.share = eps, steps, share

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1]."""
        height, width = x.shape[-2:]
        # The paper's start: vertical stripes of width 1, one sign for each channel.
        best = (x + self.eps * rng.sign(x.shape[1], 1, width)).clamp(0, 1)
        best_loss, _, _ = objective.evaluate(best)
        rows = torch.arange(height, device=x.device)[None, :, None]
        columns = torch.arange(width, device=x.device)[None, None, :]
        for number in range(1, self.steps):
            side = self._side(number, height, width)
            top = rng.integers(1, high=height - side + 1)[:, :, None]
            left = rng.integers(1, high=width - side + 1)[:, :, None]
            inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
            moved = (x + self.eps * rng.sign(x.shape[1], 1, 1)).clamp(0, 1)
            tried = torch.where(inside[:, None], moved, best)
            loss, _, _ = objective.evaluate(tried)
            wins = loss > best_loss
            best = torch.where(wins[:, None, None, None], tried, best)
            best_loss = torch.where(wins, loss, best_loss)
        return best

    def _side(self, number: int, height: int, width: int) -> int:
        """Of the square of a query, in pixels."""
        passed = sum(number * 10_000 > at * self.steps for at in HALVED_AT)
        side = round((self.share / 2**passed * height * width) ** 0.5)
        return min(max(1, side), height, width)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="square",
            build=Square,
            stochastic=True,
            cite="Andriushchenko et al., Square Attack: A Query-efficient Black-box Adversarial Attack via "
            "Random Search, ECCV 2020 (arXiv 1912.00049)",
        )
    ]

"""Carlini and Wagner's L2 attack, for generators (Carlini & Wagner, S&P 2017, arXiv 1608.04644).

A generator has no logits to compare. What takes their place is the hinge `max(0, goal - L(x'))`, where L is
the objective's loss and the goal an output MSE of tau (away from the clean output, or from a target image).
Per image, `mean (x' - x)^2 + c * hinge` is minimised by Adam in tanh space, and the constant c is searched.
Three things differ from the original:

- The tanh box is the eps ball cut to [0,1], so that a cap costs nothing extra; eps = 1 is the free attack.
  It is one 8-bit level wider than that and clamped: in the plain box a pixel at its edge (exactly 0 or 1)
  sits at infinity, where tanh has no slope, and never moves.
- The loss is taken on the image rounded to 8 bits toward the clean one, with a straight-through gradient.
  A smallest perturbation is mostly fractions of a level; rounding it afterwards would undo the attack.
- Nothing is stopped early on a sum over the batch: each image has its own constant and its own best iterate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import round_toward

MAGDR_API = 1

LEVEL = 1 / 255

START = 2 * LEVEL
"""Half-width of the random start. At x itself the gradient of MSE(G(x), G(x0)) is zero, and a jitter of less
than a level would be rounded away."""

SEARCH = 10.0
"""Factor on the constant while only successes or only failures are known (as in the original code)."""

BETAS = (0.9, 0.999)
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class CW:
    """Smallest L2 perturbation that reaches an output MSE of tau, capped at eps (1 for no cap).

    An image for which no iterate passes it gets the iterate of highest loss.

    Args:
        eps: L-infinity cap in [0,1] units; 1 for none.
        tau: mean squared error of the output, in [-1,1] units, from which an image counts as
            disrupted.
        steps: Adam steps for each constant.
        searches: constants c that are tried, one after the other.
        lr: Adam's step in [0,1] units (in the middle of a pixel's range; tanh shortens it near the ends).
        const: the first c, in units of input MSE ([-1,1]) per output MSE.
    """

    eps: Eps = 6 / 255
    tau: Annotated[float, Field(gt=0, le=4)] = 0.05
    steps: Annotated[int, Field(ge=1, le=100_000)] = 100
    searches: Annotated[int, Field(ge=1, le=50)] = 5
    lr: Annotated[float, Field(gt=0, le=1)] = 0.01
    const: Annotated[float, Field(gt=0)] = 0.1

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean 8-bit images -> `[B,3,H,W]` attacked 8-bit ones, within eps and [0,1]."""
        goal = objective.goal(self.tau)
        box, best = _Box(x, self.eps), _Best(x)
        const = torch.full((len(x),), self.const, device=x.device)
        fails, works = torch.zeros_like(const), torch.full_like(const, torch.inf)
        for _ in range(self.searches):
            start = x + rng.uniform(*x.shape[1:], low=-START, high=START)
            reached = self._descend(x, objective, goal, box.inverse(start), const, box, best)
            works = torch.where(reached, torch.minimum(works, const), works)
            fails = torch.where(reached, fails, torch.maximum(fails, const))
            middle = (works * fails).sqrt()
            middle = torch.where(fails == 0, works / SEARCH, middle)
            const = torch.where(works.isinf(), fails * SEARCH, middle)
        return best.x

    def _descend(
        self, x: Tensor, objective: Objective, goal: float, w: Tensor, const: Tensor, box: _Box, best: _Best
    ) -> Tensor:
        """Adam from `w` `[B,3,H,W]` with the constants `[B]`; offers each iterate to `best` and returns which
        images passed the goal, bool `[B]`."""
        mean, square = torch.zeros_like(x), torch.zeros_like(x)
        reached = torch.zeros_like(const, dtype=torch.bool)
        for t in range(1, self.steps + 1):
            current, slope = box.image(w)
            seen = round_toward(current, x)
            loss, uphill = objective.gradient(seen)
            reached |= best.offer(seen, loss, goal)
            push = torch.where(loss > goal, torch.zeros_like(const), const)[:, None, None, None]
            pull = 8.0 / x[0].numel() * (current - x)  # gradient of 4 mean (x' - x)^2
            gradient = (pull - push * uphill) * slope
            mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
            square = BETAS[1] * square + (1 - BETAS[1]) * gradient.square()
            size = (square / (1 - BETAS[1] ** t)).sqrt() + TINY
            w = w - self.lr / box.half * (mean / (1 - BETAS[0] ** t)) / size
        return reached


class _Box:
    """The range of each pixel and its tanh coordinate w; see the module's docstring for the extra level."""

    def __init__(self, x: Tensor, eps: float) -> None:
        self.low, self.high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
        self.middle = (self.low + self.high) / 2
        self.half = (self.high - self.low) / 2 + LEVEL

    def image(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The image of w and the slope d image / d w, which ignores the clamp: a pixel can come back."""
        t = torch.tanh(w)
        return self._clamped(self.middle + self.half * t), self.half * (1 - t * t)

    def inverse(self, x: Tensor) -> Tensor:
        return torch.atanh((self._clamped(x) - self.middle) / self.half)

    def _clamped(self, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, self.low), self.high)


class _Best:
    """Per image: the nearest iterate that passed the goal, until there is one the iterate of highest loss."""

    def __init__(self, x: Tensor) -> None:
        self.clean = x
        self.x = x
        self.loss = torch.full((len(x),), -torch.inf, device=x.device)
        self.distance = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)

    def offer(self, x: Tensor, loss: Tensor, goal: float) -> Tensor:
        """Take what is better and return which images passed the goal, bool `[B]`."""
        reached = loss > goal
        # Whole levels, so that the sum is exact and does not depend on how a batch is summed.
        levels = torch.round((x - self.clean) * 255.0).double()
        distance = levels.square().flatten(1).sum(1)
        stronger = self.distance.isinf() & (loss > self.loss)
        wins = torch.where(reached, distance < self.distance, stronger)
        self.x = torch.where(wins[:, None, None, None], x, self.x)
        self.loss = torch.where(wins, loss, self.loss)
        self.distance = torch.where(wins & reached, distance, self.distance)
        return reached


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="cw",
            build=CW,
            stochastic=True,
            cite="Carlini & Wagner, Towards Evaluating the Robustness of Neural Networks, S&P 2017",
        )
    ]

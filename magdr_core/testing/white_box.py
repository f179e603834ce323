"""A white-box attack on a whole component that believes what it declares.

Weaker than the adaptive attack of the tables, and with nothing of it: tests of checks and of planted
weaknesses compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from magdr_core.bench.checks.engine import Best, Nature, draw_number, values
from magdr_core.bench.checks.victim import Victim
from magdr_core.functional import project_linf, round_toward

STEP = 0.2
"""Step over eps."""

SHRINK = 0.9
"""How much of the perturbation is kept when a detector without a gradient has noticed it."""

LEVEL = 1 / 255
"""The jitter with which it is tried again."""


class WhiteBox:
    """Sign steps on the mean gradient over the draws, from a random start; the best iterate per image.

    It believes what a component declares. While an image is detected the step descends the score instead
    (selective steps of Bryniarski et al., Evading Adversarial Example Detection Defenses with Orthogonal
    Projected Gradient Descent, ICLR 2022), or, where the score has no gradient, every other step goes part of
    the way back and jitters.
    """

    name = "white-box"

    def step(self, own: float, nature: Nature) -> float:
        return own + 2  # the way back through the generator costs about two forward passes

    def __call__(self, victim: Victim, eps: float, at: Sequence[int], draws: int) -> list[Tensor]:
        """The best images found after each number of steps in `at`, `[B,3,H,W]` each, 8-bit and in the ball.

        Args:
            eps: the ball, in [0,1] units.
            draws: of a stochastic victim, over whose mean every step goes.
        """
        x, rng = victim.clean.images, victim.rng("attack")
        current = project_linf(x + eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0), x, eps)
        best, after = Best(x), dict[int, Tensor]()
        draws = draws if victim.stochastic else 1
        for number in range(max(at) + 1):
            seen = round_toward(current, x)
            if number == max(at):  # the last iterate is looked at, not left
                loss, score = values(victim, seen, rng, number, draws)
                best.offer(seen, loss, score)
                after[number] = best.x
                break
            parts = [victim.ascent(seen, rng.fork(draw_number(number, k))) for k in range(draws)]
            loss, uphill = (torch.stack(p).mean(0) for p in zip(*parts, strict=True))
            direction = uphill.sign()
            score, blind = torch.zeros_like(loss), None
            if victim.detector is not None:
                found = [victim.descent(seen, rng.fork(draw_number(number, k))) for k in range(draws)]
                score, slope = (torch.stack(p).mean(0) for p in zip(*found, strict=True))
                caught = (score > 0)[:, None, None, None]
                blind = caught & (slope == 0).flatten(1).all(1)[:, None, None, None]
                direction = torch.where(caught & ~blind, -slope.sign(), direction)
            best.offer(seen, loss, score)
            if number in at:
                after[number] = best.x
            moved = current + STEP * eps * direction
            if blind is not None and number % 2:
                jitter = LEVEL * rng.fork(draw_number(number, draws)).sign(*x.shape[1:])
                moved = torch.where(blind, x + SHRINK * (current - x) + jitter, moved)
            current = project_linf(moved, x, eps)
        return [after[number] for number in at]


white_box = WhiteBox()

"""The attacks that the checks make themselves: through the whole component, and without its gradients.

`Engine` is all that the checks ask of an attack, so that any other can take the place of `white_box`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from magdr_core.bench.checks.victim import Victim
from magdr_core.components.rng import SampleRng
from magdr_core.functional import project_linf, round_toward

STEP = 0.2
"""Step over eps."""

SHRINK = 0.9
"""How much of the perturbation is kept when a detector without a gradient has noticed it."""

LEVEL = 1 / 255
"""The jitter with which it is tried again."""


Nature = Literal["detector", "blind detector", "defense", "chooser"]
"""What an attack costs depends on: a blind detector declares no gradient, a chooser is MagDR's defense."""


class Engine(Protocol):
    """An attacker who knows the victim.

    Attributes:
        name: part of the key of what is stored.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, victim: Victim, eps: float, at: Sequence[int], draws: int) -> list[Tensor]:
        """Attacked images `[B,3,H,W]`, 8-bit and inside the ball, after each number of steps in `at`.

        Args:
            eps: L-infinity bound in [0,1] units.
            draws: samples of the victim's randomness per step (EOT).
        """

    def step(self, own: float, nature: Nature) -> float:
        """About how many generator passes one step takes per image and draw, those of the way back included.

        Args:
            own: passes of one forward run of the component.
        """


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
        best, after = _Best(x), dict[int, Tensor]()
        draws = draws if victim.stochastic else 1
        for number in range(max(at) + 1):
            seen = round_toward(current, x)
            if number == max(at):  # the last iterate is looked at, not left
                loss, score = _values(victim, seen, rng, number, draws)
                best.offer(seen, loss, score)
                after[number] = best.x
                break
            parts = [victim.ascent(seen, rng.fork(_draw(number, k))) for k in range(draws)]
            loss, uphill = (torch.stack(p).mean(0) for p in zip(*parts, strict=True))
            direction = uphill.sign()
            score, blind = torch.zeros_like(loss), None
            if victim.detector is not None:
                found = [victim.descent(seen, rng.fork(_draw(number, k))) for k in range(draws)]
                score, slope = (torch.stack(p).mean(0) for p in zip(*found, strict=True))
                caught = (score > 0)[:, None, None, None]
                blind = caught & (slope == 0).flatten(1).all(1)[:, None, None, None]
                direction = torch.where(caught & ~blind, -slope.sign(), direction)
            best.offer(seen, loss, score)
            if number in at:
                after[number] = best.x
            moved = current + STEP * eps * direction
            if blind is not None and number % 2:
                jitter = LEVEL * rng.fork(_draw(number, draws)).sign(*x.shape[1:])
                moved = torch.where(blind, x + SHRINK * (current - x) + jitter, moved)
            current = project_linf(moved, x, eps)
        return [after[number] for number in at]


white_box = WhiteBox()


@torch.no_grad()
def black_box(victim: Victim, eps: float, queries: int) -> Tensor:
    """Random search over squares of +-eps, `queries` forward passes of the victim and no gradient.

    Start and proposals as in Andriushchenko et al., Square Attack, ECCV 2020 (L-infinity): vertical stripes,
    then squares of one colour each, smaller and smaller.

    Returns:
        the best images, `[B,3,H,W]`, 8-bit and in the ball.
    """
    x, rng = victim.clean.images, victim.rng("search")
    stripes = eps * rng.sign(x.shape[1], 1, x.shape[3])
    current, best = round_toward(project_linf(x + stripes, x, eps), x), _Best(x)
    for number in range(queries):
        loss, score = _values(victim, current, rng, number, 1)
        best.offer(current, loss, score)
        current = _with_square(best.x, x, eps, 0.5 * (1 - number / queries), rng)
    return best.x


def noise(victim: Victim, eps: float) -> Tensor:
    """Random signs of strength eps on every image, `[B,3,H,W]`: what every attack has to beat."""
    x = victim.clean.images
    return round_toward(project_linf(x + eps * victim.rng("noise").sign(*x.shape[1:]), x, eps), x)


def _with_square(best: Tensor, x: Tensor, eps: float, share: float, rng: SampleRng) -> Tensor:
    height, width = x.shape[2:]
    side = max(1, round(share * min(height, width)))
    top = rng.integers(1, high=height - side + 1)[:, :, None]
    left = rng.integers(1, high=width - side + 1)[:, :, None]
    rows = torch.arange(height, device=x.device)[None, :, None]
    columns = torch.arange(width, device=x.device)[None, None, :]
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    painted = x + eps * rng.sign(x.shape[1], 1, 1)
    return round_toward(project_linf(torch.where(inside[:, None], painted, best), x, eps), x)


@torch.no_grad()
def _values(victim: Victim, x: Tensor, rng: SampleRng, number: int, draws: int) -> tuple[Tensor, Tensor]:
    parts = []
    for k in range(draws):
        stream = rng.fork(_draw(number, k))
        parts.append((victim.loss(x, stream), victim.score(x, stream)))
    loss, score = (torch.stack(p).mean(0) for p in zip(*parts, strict=True))
    return loss, score


def _draw(number: int, k: int) -> int:
    """Every step and draw has its own randomness."""
    return 1000 * (number + 1) + k


class _Best:
    """Per image: the undetected iterate of highest loss; until there is one, that of lowest score."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.loss = torch.full((len(x),), -torch.inf, device=x.device)
        self.score = torch.full((len(x),), torch.inf, device=x.device)

    def offer(self, x: Tensor, loss: Tensor, score: Tensor) -> None:
        over, before = score.clamp_min(0), self.score.clamp_min(0)
        wins = (over < before) | ((over == 0) & (before == 0) & (loss > self.loss))
        self.x = torch.where(wins[:, None, None, None], x, self.x)
        self.loss, self.score = torch.where(wins, loss, self.loss), torch.where(wins, score, self.score)

"""The attacks that the checks make themselves, without any gradient, and what they ask of one that has them.

`AttackEngine` is all of that, so that any other can take the adaptive attack's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from magdr_core.bench.checks.victim import Victim
from magdr_core.components.rng import SampleRng
from magdr_core.functional import project_linf, round_toward

Nature = Literal["detector", "blind detector", "defense", "chooser"]
"""What an attack costs depends on: a blind detector declares no gradient, a chooser tells its candidates."""


class AttackEngine(Protocol):
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
    current, best = round_toward(project_linf(x + stripes, x, eps), x), Best(x)
    for number in range(queries):
        loss, score = values(victim, current, rng, number, 1)
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
def values(victim: Victim, x: Tensor, rng: SampleRng, number: int, draws: int) -> tuple[Tensor, Tensor]:
    """(loss, score above the threshold), `[B]` each, of `[B,3,H,W]`: means over the `number`-th draws."""
    parts = []
    for k in range(draws):
        stream = rng.fork(draw_number(number, k))
        parts.append((victim.loss(x, stream), victim.score(x, stream)))
    loss, score = (torch.stack(p).mean(0) for p in zip(*parts, strict=True))
    return loss, score


def draw_number(number: int, k: int) -> int:
    """Every step and draw has its own randomness."""
    return 1000 * (number + 1) + k


class Best:
    """Per image: the undetected iterate of highest loss; until there is one, that of lowest score.

    Args:
        x: `[B,3,H,W]`, what is held until something was offered.
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.loss = torch.full((len(x),), -torch.inf, device=x.device)
        self.score = torch.full((len(x),), torch.inf, device=x.device)

    def offer(self, x: Tensor, loss: Tensor, score: Tensor) -> None:
        """Images `[B,3,H,W]` with their losses and scores above the threshold, `[B]` each."""
        over, before = score.clamp_min(0), self.score.clamp_min(0)
        wins = (over < before) | ((over == 0) & (before == 0) & (loss > self.loss))
        self.x = torch.where(wins[:, None, None, None], x, self.x)
        self.loss, self.score = torch.where(wins, loss, self.loss), torch.where(wins, score, self.score)

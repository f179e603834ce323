"""Without gradients: a random search over squares, and directions estimated from paired queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.adaptive.gradient_paths import Way
from magdr_core.adaptive.victim import PipelineVerdict, Target
from magdr_core.components.rng import SampleRng

FIRST_SHARE = 0.5
"""Share of the image that the first squares cover."""

HALVED_AT = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the queries after which that share is halved."""

PAIRS = 8
"""Antithetic pairs of queries behind an estimated direction."""

COARSE = 8
"""Side of the grid that estimated directions live on: fewer numbers to estimate than pixels."""


def square_search(target: Target, queries: int, rng: SampleRng) -> tuple[Tensor, PipelineVerdict]:
    """The best image that so many queries to the pipeline find, `[B,3,H,W]`, and its verdict.

    Starts from vertical stripes at the ball's edge. A query repaints a random square: with the ball's edge in
    random directions, or (one in three) with the clean image, which is what evades. The paint is kept where
    the verdict is better.
    """
    clean, eps = target.x, target.eps
    channels, height, width = clean.shape[1:]
    stripes = rng.sign(channels, 1, width).expand_as(clean)
    best = target.inside(clean + eps * stripes)
    found = target.judge(best)
    rows = torch.arange(height, device=clean.device)[None, :, None]
    columns = torch.arange(width, device=clean.device)[None, None, :]
    for query in range(1, queries):
        share = FIRST_SHARE / 2 ** sum(query >= at * queries for at in HALVED_AT)
        side = max(1, round((share * height * width) ** 0.5))
        top = rng.integers(1, high=max(1, height - side + 1))[:, :, None]
        left = rng.integers(1, high=max(1, width - side + 1))[:, :, None]
        inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
        sign = rng.sign(channels, 1, 1) * (rng.integers(1, 1, 1, high=3) > 0)
        candidate = target.inside(torch.where(inside[:, None], clean + eps * sign, best))
        verdict = target.judge(candidate)
        wins = verdict.merit > found.merit
        best = torch.where(wins[:, None, None, None], candidate, best)
        found = verdict.where(wins, found)
    return best, found


def estimated(target: Target) -> Way:
    """The detector's score with a gradient from antithetic queries on coarse random directions.

    Ilyas et al., ICML 2018 (NES); Uesato et al., ICML 2018 (SPSA).
    """

    def gradient(x: Tensor, draw: SampleRng) -> Tensor:
        total = torch.zeros_like(x)
        stream = draw.fork(PAIRS)
        reach = target.eps / 2
        for _ in range(PAIRS):
            coarse = stream.normal(x.shape[1], COARSE, COARSE)
            u = F.interpolate(coarse, size=x.shape[2:], mode="nearest")
            up, down = (target.score((x + s * reach * u).clamp(0, 1), draw) for s in (1.0, -1.0))
            total += ((up - down) / (2 * reach))[:, None, None, None] * u
        return total / PAIRS

    return Way("queries", _with_gradient(target.score, gradient), True, rough=False)


def only_seen(target: Target) -> Way:
    """The detector's score without any gradient."""

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        with torch.no_grad():
            return target.score(x.detach(), draw)

    return Way("scores", value, True, rough=False)


def _with_gradient(value: Callable[..., Tensor], gradient: Callable[..., Tensor]) -> Any:
    """`value(x, draw)` without its own gradient and with the given one."""

    def both(x: Tensor, draw: SampleRng) -> Tensor:
        with torch.no_grad():
            score = value(x, draw)
            slope = gradient(x.detach(), draw)
        # Adds an exact zero that carries the slope.
        moved = (slope * (x - x.detach())).flatten(1).sum(1)
        return score + moved

    return both

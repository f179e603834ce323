"""Whether the gradient that a component declares is there, and is its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from magdr_core.bench.checks import check as verdicts
from magdr_core.bench.checks.check import SanityCheck
from magdr_core.bench.checks.victim import Victim

STEPS = (0.2, 0.5, 1.0)
"""Distances over which a stand-in may lead somewhere, in eps."""

MOVE = 2e-4
"""Half of the distance over which slopes are measured, in [0,1] units: far below what an attack moves, and
far above what float32 blurs."""


def gradient_check(victim: Victim, eps: float) -> SanityCheck:
    """Zeros, NaN and, where a gradient is called exact, disagreement with measured slopes.

    The gradient is taken at random points of the ball, of the aim through a defense or of a detector's
    score. The slope is measured along the gradient's own signs, where attacks go. A stand-in's gradient is
    not the function's own, but has to lead somewhere all the same: further than random signs, and at least
    half as far as the gradient that takes the defense for nothing at all.
    """
    x, rng = victim.clean.images, victim.rng("slopes")
    at = (x + eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)).clamp(MOVE, 1 - MOVE)
    draw = rng.fork(0)
    scored = victim.detector is not None
    _, slope = victim.descent(at, draw) if scored else victim.ascent(at, draw)
    zeros = (slope == 0).double().flatten(1).mean(1)
    broken = ~torch.isfinite(slope).flatten(1).all(1)
    if scored and victim.gradient == "none":
        share = float(zeros.mean())
        said = f"declared none; torch sees zeros in {share:.0%} of it"
        return SanityCheck("gradient", "inapplicable", said, {"declared": "none", "zero share": share})
    value: Callable[[Tensor], Tensor] = (
        (lambda v: victim.score(v, draw)) if scored else (lambda v: victim.loss(v, draw, rounded=False))
    )
    found = ahead = None
    if victim.gradient == "exact":
        found = np.asarray(_disagreement(value, at, slope).cpu())
    elif victim.gradient == "straight-through":
        random = rng.fork(1).sign(*x.shape[1:])
        around = None if scored else replace(victim, gradient="none").ascent(at, draw)[1]
        ahead = np.asarray(_ahead(value, at, slope, random, around, eps).cpu())
    blind, odd = np.asarray(zeros.cpu()), np.asarray(broken.cpu())
    return verdicts.gradients(victim.gradient, blind, odd, found, ahead)


@torch.no_grad()
def _ahead(
    value: Callable[[Tensor], Tensor],
    at: Tensor,
    slope: Tensor,
    random: Tensor,
    around: Tensor | None,
    eps: float,
) -> Tensor:
    """How much more the value rises along a stand-in's gradient than it must, `[B]`: over the distance of
    `STEPS` at which that is best. A stand-in need not be right over every distance.

    Args:
        random: signs.
        around: the gradient without the defense, where there is one.
    """

    def rise(direction: Tensor, size: float) -> Tensor:
        up, down = (at + size * direction).clamp(0, 1), (at - size * direction).clamp(0, 1)
        return (value(up) - value(down)).double()

    found = []
    for size in (share * eps for share in STEPS):
        needed = rise(random, size)
        if around is not None:
            needed = torch.maximum(needed, rise(_signs(around), size) / 2)
        found.append(rise(_signs(slope), size) - needed)
    # In spreads, so that distances can be compared.
    return max(found, key=lambda rises: float(rises.mean() / rises.std().clamp_min(1e-30)))


@torch.no_grad()
def _disagreement(value: Callable[[Tensor], Tensor], at: Tensor, slope: Tensor) -> Tensor:
    """|measured - said| / (|measured| + |said|) of the slope along the gradient's signs, `[B]` in [0,1]."""
    along = _signs(slope)
    measured = (value(at + MOVE * along) - value(at - MOVE * along)).double() / (2 * MOVE)
    said = torch.nan_to_num(slope).double().abs().flatten(1).sum(1)
    total = measured.abs() + said
    return torch.where(total > 0, (measured - said).abs() / total.clamp_min(1e-30), torch.zeros_like(total))


def _signs(slope: Tensor) -> Tensor:
    return torch.nan_to_num(slope).sign()

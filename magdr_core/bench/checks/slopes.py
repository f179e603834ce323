"""Whether the gradient that a component declares is there, and is its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from magdr_core.bench.checks import verdicts
from magdr_core.bench.checks.verdicts import Check
from magdr_core.bench.checks.victim import Victim

MOVE = 2e-4
"""Half of the distance over which slopes are measured, in [0,1] units: far below what an attack moves, and
far above what float32 blurs."""


def gradient_check(victim: Victim, eps: float) -> Check:
    """Zeros, NaN and, where a gradient is called exact, disagreement with measured slopes.

    The gradient is taken at random points of the ball, of the aim through a defense or of a detector's
    score. The slope is measured along the gradient's own signs, where attacks go.
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
        return Check("gradient", "skipped", said, {"declared": "none", "zero share": share})
    found = None
    if victim.gradient == "exact":
        value: Callable[[Tensor], Tensor] = (
            (lambda v: victim.score(v, draw)) if scored else (lambda v: victim.loss(v, draw, rounded=False))
        )
        found = np.asarray(_disagreement(value, at, slope).cpu())
    return verdicts.gradients(victim.gradient, np.asarray(zeros.cpu()), np.asarray(broken.cpu()), found)


@torch.no_grad()
def _disagreement(value: Callable[[Tensor], Tensor], at: Tensor, slope: Tensor) -> Tensor:
    """|measured - said| / (|measured| + |said|) of the slope along the gradient's signs, `[B]` in [0,1]."""
    along = torch.nan_to_num(slope).sign()
    measured = (value(at + MOVE * along) - value(at - MOVE * along)).double() / (2 * MOVE)
    said = torch.nan_to_num(slope).double().abs().flatten(1).sum(1)
    total = measured.abs() + said
    return torch.where(total > 0, (measured - said).abs() / total.clamp_min(1e-30), torch.zeros_like(total))

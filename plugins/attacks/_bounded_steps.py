"""Ascent under a PSNR or an SSIM that images keep, in any space of perturbations; attacks differ in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import Field
from magdr_core.functional import least_ssim, to_8bit

from ._sign_steps import Ascended, better

Psnr = Annotated[float, Field(ge=0, le=120)]
Ssim = Annotated[float, Field(ge=0, le=1)]
Direction = Literal["gradient", "sign"]
Decode = Callable[[Tensor], Tensor]
"""Perturbations `[B,3,H,W]` to images in [0,1]; zeros give the clean images."""

HALVINGS, ROOM = 8, 2.0
"""Of the interval in which a perturbation's scale is looked for, and its end in units of a first guess."""

FIRST, LAST = 0.5, 0.02
"""Sizes of the first and the last step, in units of the first perturbation's; a cosine leads from one to the
other."""

TINY = 1e-20


def mean_square(delta: Tensor) -> Tensor:
    """`[B,1,1,1]` of `[B,C,H,W]`; in two steps, so that no image's sum is split between threads."""
    return delta.square().mean(-1).flatten(1).mean(1)[:, None, None, None]


@dataclass(frozen=True)
class Bound:
    """How far an image may go from the clean one.

    Attributes:
        most: the largest distance.
        distance: of (clean, seen), `[B,3,H,W]` in [0,1] both, `[B,1,1,1]`; it grows about as the square of a
            perturbation's scale, or more slowly.
    """

    most: float
    distance: Callable[[Tensor, Tensor], Tensor]


def of_psnr(psnr: float) -> Bound:
    """Images keep a PSNR, in dB."""
    return Bound(10.0 ** (-psnr / 10), lambda x, seen: mean_square(seen - x))


def of_ssim(ssim: float) -> Bound:
    """Images keep a structural similarity, in [0,1]."""
    return Bound(1.0 - ssim, lambda x, seen: 1.0 - least_ssim(x, seen)[:, None, None, None])


def under(bound: Bound, x: Tensor, delta: Tensor, decode: Decode) -> tuple[Tensor, Tensor]:
    """The 8-bit images of perturbations, shrunk as far as the bound asks for.

    Args:
        bound: of the images in 8 bits.
        x: `[B,3,H,W]`, the clean images.
        delta: `[B,3,H,W]`.

    Returns:
        (images `[B,3,H,W]`, the perturbations as they were shrunk `[B,3,H,W]`).
    """
    most = bound.most
    seen = to_8bit(decode(delta))
    moved = bound.distance(x, seen)
    fits = moved <= most
    if bool(fits.all()):
        return seen, delta
    # A clamped change shrinks more slowly than its scale, and so does what an SSIM takes of a large one: no
    # scale above the root of the shares fits; twice that leaves room for the curves of colour spaces.
    high = (ROOM * (most / moved.clamp_min(most)).sqrt()).clamp_max(1)
    high = torch.where(fits, 1.0, high)
    low, seen = torch.where(fits, high, 0.0), torch.where(fits, seen, x)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        tried = to_8bit(decode(middle * delta))
        fits = bound.distance(x, tried) <= most
        seen = torch.where(fits, tried, seen)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return seen, low * delta


def ascend(
    x: Tensor,
    objective: Ascended,
    start: Tensor,
    decode: Decode,
    *,
    bound: Bound,
    limit: float,
    direction: Direction,
    steps: int,
) -> Tensor:
    """The images of highest loss that were looked at, `[B,3,H,W]`, in 8 bits and within the bound.

    Args:
        x: `[B,3,H,W]`, clean.
        start: `[B,3,H,W]`, the first perturbation; what is left of it gives the steps' size.
        limit: of each entry of a perturbation.
        direction: of a step: the gradient itself, which is the steepest for a bound on the sum of squares, or
            its signs, for a bound on each entry.
    """
    seen, delta = under(bound, x, start.clamp(-limit, limit), decode)
    size = mean_square(delta).sqrt()
    best, best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)
    for number in range(steps):
        loss, slope = objective.gradient(seen)
        best, best_loss = better(seen, loss, best, best_loss)
        uphill = pulled_back(slope, delta, decode)
        uphill = uphill.sign() if direction == "sign" else uphill / (mean_square(uphill) + TINY).sqrt()
        delta = (delta + _step(number / steps) * size * uphill).clamp(-limit, limit)
        seen, delta = under(bound, x, delta, decode)
    loss, _, _ = objective.evaluate(seen)
    return better(seen, loss, best, best_loss)[0]


def pulled_back(slope: Tensor, delta: Tensor, decode: Decode) -> Tensor:
    """The gradient of a perturbation, `[B,3,H,W]`, from that of its image, `[B,3,H,W]`."""
    with torch.enable_grad():
        moved = delta.detach().requires_grad_(True)
        (found,) = torch.autograd.grad(decode(moved), moved, slope)
    return found


def _step(share: float) -> float:
    return LAST + (FIRST - LAST) * (1 + math.cos(math.pi * share)) / 2

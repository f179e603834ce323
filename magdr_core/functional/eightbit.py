"""8-bit levels, eps-balls, and gradients through rounding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# In levels of 1/255. float32 noise on a difference of unit-range numbers stays below 3e-4 of a level; a pixel
# this close to a level counts as on it. The price: a ball may be left by 2e-6, which no 8-bit level can see.
_FUZZ = 5e-4


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` (to the last bit) with the gradient of `soft`.

    Args:
        hard: what the forward pass shall see, of any shape.
        soft: a differentiable stand-in of the same shape.

    Returns:
        a tensor equal to `hard`; its gradient goes to `soft` unchanged, none goes to `hard`.

    Raises:
        ValueError: shapes differ.

    Source: Bengio, Leonard, Courville, arXiv 1308.3432; for attacks: BPDA, Athalye et al., ICML 2018.
    """
    if hard.shape != soft.shape:
        raise ValueError(
            f"hard and soft must have the same shape, got {tuple(hard.shape)} and {tuple(soft.shape)}"
        )
    if not soft.requires_grad:
        return hard.detach()
    # soft - soft is an exact zero, whereas soft + (hard - soft) would only come near hard.
    return hard.detach() + (soft - soft.detach())


def clamp_inclusive(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Clamp to `[low, high]` with a gradient that passes at both ends: 1 where `low <= x <= high`, else 0.

    From torch 2.14 on, `Tensor.clamp` gives 0 at its bounds; before, 1. An 8-bit photo has many pixels that
    are exactly 0 or 1. An attack that looks through a filter must not be blind to them: the filter would seem
    a better defense than it is, and the same run would give other figures on another torch.

    Args:
        x: any shape, floating.
        low, high: bounds.

    Returns:
        the values of `x.clamp(low, high)`.
    """
    clamped = x.detach().clamp(low, high)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return clamped
    return torch.where((x >= low) & (x <= high), x, clamped)


def to_8bit(x: Tensor) -> Tensor:
    """The nearest 8-bit image: clamp to [0,1] and round to k/255. Any shape; the gradient is zero.

    Idempotent to the last bit. For a gradient: `straight_through(to_8bit(x), x)`.
    """
    return torch.round(x.clamp(0.0, 1.0) * 255.0) / 255.0


def round_toward(x: Tensor, anchor: Tensor) -> Tensor:
    """Move every pixel to the nearest 8-bit level that lies between it and the anchor.

    Plain rounding of an attacked image can leave the eps-ball around the clean image by half a level; this
    never does, for any eps. A pixel that is on a level up to float32 noise stays there, so +6/255 remains
    +6 levels.

    Args:
        x: attacked images, any shape.
        anchor: clean 8-bit images (k/255) of the same shape.

    Returns:
        8-bit images in [0,1], `|result - anchor| <= |x - anchor|` up to 2e-6. The gradient is zero.

    Raises:
        ValueError: shapes differ.
    """
    if x.shape != anchor.shape:
        raise ValueError(
            f"x and anchor must have the same shape, got {tuple(x.shape)} and {tuple(anchor.shape)}"
        )
    start = torch.round(anchor * 255.0)
    moved = (x - anchor) * 255.0
    levels = moved.sign() * torch.floor(moved.abs() + _FUZZ)
    return (start + levels).clamp(0.0, 255.0) / 255.0


def project_linf(x: Tensor, centre: Tensor, eps: float | Tensor) -> Tensor:
    """Clamp to the L-infinity ball of radius eps around `centre`, and to [0,1].

    Args:
        x, centre: images of the same shape.
        eps: radius in [0,1] units, >= 0; one number, or `[B]` with one per image.

    Returns:
        same shape; differentiable (gradient 0 where a pixel was moved).

    Raises:
        ValueError: shapes differ, or a negative eps.
    """
    if x.shape != centre.shape:
        raise ValueError(
            f"x and centre must have the same shape, got {tuple(x.shape)} and {tuple(centre.shape)}"
        )
    if isinstance(eps, Tensor):
        if eps.ndim > 1:
            raise ValueError(f"eps must be a number or [B], got shape {tuple(eps.shape)}")
        # No sign check: reading the values back would make a GPU wait.
        eps = eps.reshape(-1, *([1] * (x.ndim - 1)))
    elif not (math.isfinite(eps) and eps >= 0):
        raise ValueError(f"eps must be finite and not negative, got {eps}")
    return clamp_inclusive(torch.minimum(torch.maximum(x, centre - eps), centre + eps))

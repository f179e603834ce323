"""Gaussian blurs with a width of its own for each picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NARROWEST = 1e-3
"""In pixels; a narrower blur than this changes nothing."""


def blur_each(x: Tensor, sigma: Tensor, *, widest: float) -> Tensor:
    """Gaussian blur of each picture by its own sigma, borders replicated.

    Sums of shifted slices, so that a picture has the same bits in any batch.

    Args:
        x: `[B,C,H,W]`.
        sigma: `[B]`, in pixels; 0 changes nothing.
        widest: the largest sigma that any batch may hold; it sets how far the kernel reaches.

    Returns:
        `[B,C,H,W]`.
    """
    radius = max(1, math.ceil(3 * widest))
    steps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    taps = torch.exp(-0.5 * (steps / sigma.clamp_min(NARROWEST)[:, None]) ** 2)
    taps = taps / taps.sum(1, keepdim=True)
    for dim, border in ((-1, (radius, radius, 0, 0)), (-2, (0, 0, radius, radius))):
        padded, size = F.pad(x, border, mode="replicate"), x.shape[dim]
        x = _weighted(padded, taps, dim, size)
    return x


def _weighted(padded: Tensor, taps: Tensor, dim: int, size: int) -> Tensor:
    total = torch.zeros_like(padded.narrow(dim, 0, size))
    for k in range(taps.shape[1]):
        total = total + taps[:, k, None, None, None] * padded.narrow(dim, k, size)
    return total


def high_pass(x: Tensor) -> Tensor:
    """What a 3x3 binomial blur takes out, `[B,C,H,W]` -> same."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    return x - (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16

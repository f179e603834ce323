"""Perturbations blurred region by region, by widths that are learned; how rough a picture is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional import constant

BINS = 16
"""Rings of frequencies."""

FLOOR = 1e-6
"""Added to the energy of a ring before its logarithm: about what rounding to 8 bits adds."""


def region_blur(delta: Tensor, masks: Tensor, log_sigma: Tensor) -> Tensor:
    """`sum_r masks_r * (G(sigma_r) * delta)`; no entry gets larger, since masks sum to 1.

    Args:
        delta: `[B,C,H,W]`.
        masks: `[B,N,H,W]`, sum 1 at each pixel.
        log_sigma: `[B,N]`, logarithms of standard deviations in pixels.

    Returns:
        `[B,C,H,W]`, differentiable in `delta` and `log_sigma`.
    """
    batch, channels, height, width = delta.shape
    regions = masks.shape[1]
    rows, columns = (_weights(log_sigma, n) for n in (height, width))
    planes = delta[:, None].expand(-1, regions, -1, -1, -1).reshape(-1, height, width)
    both = torch.bmm(torch.bmm(_each(rows, channels), planes), _each(columns, channels).mT)
    blurred = both.reshape(batch, regions, channels, height, width)
    return (masks[:, :, None] * blurred).sum(1)


def _weights(log_sigma: Tensor, n: int) -> Tensor:
    """`[B,N,n,n]`: rows of Gaussian weights that sum to 1, cut at the borders."""
    place = torch.arange(n, dtype=torch.float32, device=log_sigma.device)
    away = (place[:, None] - place[None, :]).square()
    return (-away / (2 * (2 * log_sigma).exp())[:, :, None, None]).softmax(-1)


def _each(weights: Tensor, channels: int) -> Tensor:
    """`[B,N,n,n] -> [B*N*C,n,n]`, one for every plane."""
    return weights[:, :, None].expand(-1, -1, channels, -1, -1).flatten(0, 2)


def log_spectrum(x: Tensor) -> Tensor:
    """Logarithms of the mean energy of the cosines in each ring of frequencies, `[B,C,H,W] -> [B,BINS]`."""
    batch, channels, height, width = x.shape
    rows, columns = _cosines(height, x.device), _cosines(width, x.device)
    planes = x.reshape(-1, height, width)
    count = len(planes)
    left = torch.bmm(rows.expand(count, -1, -1), planes)
    energy = torch.bmm(left, columns.mT.expand(count, -1, -1)).square().reshape(batch, channels, -1).mean(1)
    rings = _rings(height, width, x.device)
    # One product an image, so that an image alone has the same bits.
    mean = torch.bmm(energy[:, None], rings.expand(batch, -1, -1))[:, 0]
    return (mean + FLOOR).log()


def _cosines(n: int, device: torch.device) -> Tensor:
    """The orthonormal DCT-II, `[n,n]`."""
    rows = [
        [math.sqrt((2 if u else 1) / n) * math.cos(math.pi * (2 * i + 1) * u / (2 * n)) for i in range(n)]
        for u in range(n)
    ]
    return constant(rows, device)


def _rings(height: int, width: int, device: torch.device) -> Tensor:
    """`[H*W,BINS]`: columns of weights that take the mean over each ring; rings without a frequency are 0."""
    up = torch.arange(height, device=device)[:, None] / height
    across = torch.arange(width, device=device)[None, :] / width
    radius = ((up.square() + across.square()) / 2).sqrt().flatten()
    ring = (radius * BINS).long().clamp_max(BINS - 1)
    inside = (ring[:, None] == torch.arange(BINS, device=device)).float()
    return inside / inside.sum(0).clamp_min(1)

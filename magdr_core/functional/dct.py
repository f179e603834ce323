"""Denoising by thresholds on the cosine transforms of all overlapping blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional._common import check_images, symmetric_pad
from magdr_core.functional.cache_blocked import in_cache
from magdr_core.functional.constants import constant
from magdr_core.functional.eightbit import clamp_inclusive


def _cosines(n: int) -> list[list[float]]:
    """The orthonormal DCT-II of n samples; row = frequency."""
    first = [math.sqrt(1 / n)] * n
    rest = [
        [math.sqrt(2 / n) * math.cos(math.pi * (2 * k + 1) * u / (2 * n)) for k in range(n)]
        for u in range(1, n)
    ]
    return [first, *rest]


def _mix_channels(x: Tensor, rows: list[list[float]]) -> Tensor:
    """A 3x3 matrix on the channels, as sums: a matrix product would run in bf16 under autocast."""
    planes = x.unbind(1)
    mixed = [sum(weight * plane for weight, plane in zip(row, planes, strict=True)) for row in rows]
    return torch.stack(mixed, 1)  # type: ignore[arg-type]


@in_cache
def dct_threshold(x: Tensor, threshold: float, block: int = 8) -> Tensor:
    """Drop the small cosine coefficients of every block x block window, and average the windows.

    Colour is first rotated by the cosine transform of the three channels, which takes luma apart from
    chroma; a window's mean is always kept.

    Args:
        x: `[B,3,H,W]` in [0,1].
        threshold: coefficients below it in size are dropped; in units of the orthonormal transform, where
            noise of standard deviation s has coefficients of s (3 s removes it).
        block: side of the windows, 2 to 16.

    Returns:
        `[B,3,H,W]`, clamped to [0,1]. Differentiable almost everywhere.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Yu and Sapiro, DCT image denoising, Image Processing On Line 1, 2011.
    """
    check_images(x, channels=3)
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"threshold must be finite and not negative, got {threshold}")
    if block != int(block) or not 2 <= block <= 16:
        raise ValueError(f"block must be an integer from 2 to 16, got {block}")
    colours, cosines = _cosines(3), _cosines(block)
    height, width = x.shape[-2:]
    reach = block - 1
    # With a mirrored border every pixel is in block^2 windows. Windows are never gathered: a coefficient is a
    # stencil over the whole image, and so is its way back. One vertical frequency at a time bounds the memory
    # at about 3 block images.
    padded = symmetric_pad(_mix_channels(x, colours), reach, reach, reach, reach)
    columns = constant(cosines, padded.device, padded.dtype)[:, :, None, None]  # [frequency, tap, 1, 1]
    rows, places = height + reach, width + reach
    horizontal = sum(columns[:, k] * padded[..., None, :, k : k + places] for k in range(block))
    assert isinstance(horizontal, Tensor)  # [B,3,block,H + 2 reach,W + reach]
    gathered = torch.zeros_like(horizontal[..., :height, :])
    for v, taps in enumerate(cosines):
        c = horizontal[..., :rows, :] * taps[0]
        for k in range(1, block):
            c = c.add(horizontal[..., k : k + rows, :], alpha=taps[k])
        keep = c.abs() >= threshold
        if v == 0:
            mean = torch.zeros_like(keep)
            mean[:, :, 0] = True
            keep = keep | mean
        c = torch.where(keep, c, 0.0)
        for k in range(block):
            gathered = gathered.add(c[..., reach - k : reach - k + height, :], alpha=taps[k])
    back = torch.zeros_like(padded[..., :height, :width])
    for u, taps in enumerate(cosines):
        for k in range(block):
            back = back.add(gathered[:, :, u, :, reach - k : reach - k + width], alpha=taps[k])
    inverse = [list(column) for column in zip(*colours, strict=True)]
    return clamp_inclusive(_mix_channels(back / block**2, inverse))

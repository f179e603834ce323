"""What the filters and measures share: argument checks, symmetric borders, stencils, per-image means.

Stencils are sums of shifted slices, not convolutions. cuDNN convolutions run in TF32 by default and autocast
turns convolutions and matrix products into bf16; either would ruin the variances inside SSIM. Sums of slices
also give every image the same bits in a batch of 1 as in a batch of 64, and are faster on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from magdr_core.functional.eightbit import straight_through


def check_images(x: Tensor, name: str = "x", *, channels: int | None = None) -> None:
    """Raise ValueError unless `x` is a floating `[B,C,H,W]` (with C == `channels` where that is given)."""
    if x.ndim != 4:
        raise ValueError(f"{name} must be [B,C,H,W], got shape {tuple(x.shape)}")
    if channels is not None and x.shape[1] != channels:
        raise ValueError(f"{name} must have {channels} channels, got shape {tuple(x.shape)}")
    if min(x.shape[-2:]) < 1:
        raise ValueError(f"{name} must have at least one pixel, got shape {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must be a floating point tensor, got {x.dtype}")


def check_pair(a: Tensor, b: Tensor) -> None:
    """Raise ValueError unless `a` and `b` are floating `[B,C,H,W]` of the same shape."""
    check_images(a, "a")
    check_images(b, "b")
    if a.shape != b.shape:
        raise ValueError(f"a and b must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}")


def check_odd(value: int, name: str) -> None:
    """Raise ValueError unless `value` is a positive odd integer."""
    if value != int(value) or value < 1 or value % 2 == 0:
        raise ValueError(f"{name} must be a positive odd integer, got {value}")


def check_positive(value: float, name: str) -> None:
    """Raise ValueError unless `value` is finite and > 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")


def _pad_dim(x: Tensor, before: int, after: int, dim: int) -> Tensor:
    # A border wider than the image takes several goes; what was mirrored is symmetric about every edge.
    while before > 0 or after > 0:
        size = x.shape[dim]
        left, right = min(before, size), min(after, size)
        head = x.narrow(dim, 0, left).flip(dim)
        tail = x.narrow(dim, size - right, right).flip(dim)
        x = torch.cat([head, x, tail], dim)
        before, after = before - left, after - right
    return x


def symmetric_pad(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Mirror the image about its outer edge (`c b a | a b c`; SciPy's `reflect`, NumPy's `symmetric`).

    Args:
        x: `[..., H, W]`.
        left, right, top, bottom: widths of the border, >= 0; they may exceed the image.

    Returns:
        `[..., top + H + bottom, left + W + right]`.
    """
    return _pad_dim(_pad_dim(x, left, right, -1), top, bottom, -2)


def gaussian_taps(sigma: float, radius: int) -> list[float]:
    """The 2 radius + 1 samples of a Gaussian, normalised to sum 1 (as in `scipy.ndimage`)."""
    raw = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]
    total = math.fsum(raw)
    return [value / total for value in raw]


def _stencil_dim(x: Tensor, taps: Sequence[float], dim: int) -> Tensor:
    radius = len(taps) // 2
    size = x.shape[dim] - 2 * radius
    out = x.narrow(dim, radius, size) * taps[radius]
    for k in range(1, radius + 1):  # both neighbours at distance k have the same weight
        pair = x.narrow(dim, radius - k, size) + x.narrow(dim, radius + k, size)
        out.add_(pair, alpha=taps[radius + k])  # its own tensor, which no gradient needs
    return out


def separable_stencil(x: Tensor, taps: Sequence[float]) -> Tensor:
    """Filter rows and columns with one symmetric, odd kernel, where the whole kernel fits.

    Args:
        x: `[..., H, W]`, already padded.
        taps: symmetric weights, odd in number.

    Returns:
        `[..., H - len(taps) + 1, W - len(taps) + 1]`.
    """
    return _stencil_dim(_stencil_dim(x, taps, -1), taps, -2)


def filter_separable(x: Tensor, taps: Sequence[float]) -> Tensor:
    """:func:`separable_stencil` with symmetric borders: `[...,H,W]` -> same shape, whatever the odd number of
    `taps`."""
    radius = len(taps) // 2
    return separable_stencil(symmetric_pad(x, radius, radius, radius, radius), taps)


def clamp_fuzz(x: Tensor) -> Tensor:
    """Clamp an average of values in [0,1], which can leave the range only by its last bit, back to [0,1].

    Any shape. The gradient passes: a plain clamp would cut it wherever an area of 0 or 1 is averaged to
    1.0000001.
    """
    return straight_through(x.detach().clamp(0.0, 1.0), x)


def mean_per_image(x: Tensor) -> Tensor:
    """Mean over all but the first dimension, `[B,C,H,W] -> [B]`.

    In two steps, so that torch never splits one image's sum between threads: it does so only when the whole
    batch is a single number, and an image would then have other last bits alone than in a batch.
    """
    return x.mean(-1).flatten(1).mean(-1)

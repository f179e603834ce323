"""Luma and chroma, and wavelet denoising in them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional._common import check_images
from magdr_core.functional.eightbit import clamp_inclusive
from magdr_core.functional.wavelet import wavelet_denoise


def to_ycbcr(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """RGB `[B,3,H,W]` in [0,1] -> Y, Cb, Cr `[B,1,H,W]` in [0,1] (ITU-R BT.601, full range)."""
    check_images(x, channels=3)
    red, green, blue = x.split(1, 1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return y, 0.5 + (blue - y) / 1.772, 0.5 + (red - y) / 1.402


def from_ycbcr(y: Tensor, cb: Tensor, cr: Tensor) -> Tensor:
    """The inverse of `to_ycbcr`, `[B,3,H,W]`, not clamped."""
    red, blue = y + 1.402 * (cr - 0.5), y + 1.772 * (cb - 0.5)
    return torch.cat([red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue], 1)


NOISE_GAINS = (
    math.hypot(0.299, 0.587, 0.114),
    math.hypot(0.299, 0.587, 0.886) / 1.772,
    math.hypot(0.701, 0.587, 0.114) / 1.402,
)
"""What independent noise of deviation 1 in R, G and B is in Y, Cb and Cr."""


def wavelet_denoise_ycbcr(x: Tensor, sigma: float) -> Tensor:
    """BayesShrink (Haar, soft) of Y, Cb and Cr for noise of deviation `sigma` in R, G and B.

    As scikit-image's `denoise_wavelet(convert2ycbcr=True, rescale_sigma=True)`. Differentiable.

    Args:
        x: `[B,3,H,W]` in [0,1].
        sigma: in [0,1] units, > 0.

    Returns:
        `[B,3,H,W]` in [0,1].

    Raises:
        ValueError: wrong shape or sigma.
    """
    planes = zip(to_ycbcr(x), NOISE_GAINS, strict=True)
    y, cb, cr = (wavelet_denoise(plane, sigma=sigma * gain) for plane, gain in planes)
    return clamp_inclusive(from_ycbcr(y, cb, cr))

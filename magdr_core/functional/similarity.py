"""Pixel-wise similarity of two batches of images: SSIM, PSNR, MSE, MAE, one number per image."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional._common import (
    check_odd,
    check_pair,
    check_positive,
    filter_separable,
    gaussian_taps,
    mean_per_image,
)
from magdr_core.functional.cache_blocked import in_cache

WINDOW = 11
"""Taps of the usual Gaussian window of sigma 1.5."""


@in_cache
def ssim_map(
    a: Tensor, b: Tensor, *, window: int = WINDOW, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03
) -> Tensor:
    """Structural similarity of every pixel and channel, for images in [0,1].

    Gaussian window, population covariance, mirrored borders: the map of scikit-image's
    `structural_similarity(gaussian_weights=True, use_sample_covariance=False, data_range=1, full=True)`.
    Differentiable.

    Args:
        a, b: `[B,C,H,W]` in [0,1], any size.
        window: taps of the Gaussian, odd (11 is what scikit-image uses for sigma 1.5).
        sigma: its standard deviation in pixels.
        k1, k2: the stabilising constants.

    Returns:
        `[B,C,H,W]` in [-1,1]; 1 where the images agree.

    Raises:
        ValueError: shapes differ, or a parameter is out of range.

    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004.
    """
    check_pair(a, b)
    check_odd(window, "window")
    check_positive(sigma, "sigma")
    taps = gaussian_taps(sigma, window // 2)
    # Variances do not depend on the zero point, and E[x^2] - E[x]^2 loses fewer digits around 0 than at .5.
    ca, cb, difference = a - 0.5, b - 0.5, a - b
    moments = filter_separable(torch.cat([ca, cb, ca * ca + cb * cb, difference * difference], 1), taps)
    mean_a, mean_b, squares, square_of_difference = moments.chunk(4, 1)
    # 2 cov(a,b) = var(a) + var(b) - var(a - b): one map less to filter, and exact for equal images.
    var_sum = squares - mean_a * mean_a - mean_b * mean_b
    var_difference = square_of_difference - (mean_a - mean_b) ** 2
    mean_a, mean_b = mean_a + 0.5, mean_b + 0.5
    c1, c2 = k1**2, k2**2
    luminance = 1 - (mean_a - mean_b) ** 2 / (mean_a * mean_a + mean_b * mean_b + c1)
    return luminance * (1 - var_difference / (var_sum + c2))


def ssim(
    a: Tensor, b: Tensor, *, window: int = WINDOW, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03
) -> Tensor:
    """Mean structural similarity of every image, as scikit-image reports it.

    The map's outer `window // 2` pixels are left out, since they saw mirrored pixels. Differentiable.

    Args:
        a, b: `[B,C,H,W]` in [0,1], both sides at least `window`.
        window, sigma, k1, k2: as in :func:`ssim_map`.

    Returns:
        `[B]` in [-1,1].

    Raises:
        ValueError: as :func:`ssim_map`, or an image smaller than the window.
    """
    values = ssim_map(a, b, window=window, sigma=sigma, k1=k1, k2=k2)
    height, width = values.shape[-2:]
    if min(height, width) < window:
        raise ValueError(f"images of {height}x{width} are smaller than the SSIM window of {window}")
    border = window // 2
    return mean_per_image(values[..., border : height - border, border : width - border])


def least_ssim(a: Tensor, b: Tensor) -> Tensor:
    """What is left of every image's structural similarity wherever one looks: the smaller of :func:`ssim`,
    which leaves the outer five pixels out, and the mean of the whole :func:`ssim_map`.

    A bound on the usual mean alone would let an image do what it likes at its border. Differentiable.

    Args:
        a, b: `[B,C,H,W]` in [0,1], any size; of images smaller than the window only the map's mean.

    Returns:
        `[B]` in [-1,1].

    Raises:
        ValueError: shapes differ.
    """
    values = ssim_map(a, b)
    whole = mean_per_image(values)
    border = WINDOW // 2
    height, width = values.shape[-2:]
    if min(height, width) < WINDOW:
        return whole
    inner = values[..., border : height - border, border : width - border]
    return torch.minimum(whole, mean_per_image(inner))


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of every image, `[B,C,H,W] x 2 -> [B]`, in squared units of the images.

    Raises:
        ValueError: shapes differ.
    """
    check_pair(a, b)
    return mean_per_image((a - b) ** 2)


def mae(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute error of every image, `[B,C,H,W] x 2 -> [B]`, in units of the images.

    Raises:
        ValueError: shapes differ.
    """
    check_pair(a, b)
    return mean_per_image((a - b).abs())


def psnr(a: Tensor, b: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of every image in dB, `[B,C,H,W] x 2 -> [B]`; infinite for equal images.

    The mean of these is not the PSNR of a pooled error (Jensen); pool :func:`mse` for that.

    Raises:
        ValueError: shapes differ, or `data_range` is not positive.
    """
    check_positive(data_range, "data_range")
    return 10.0 * torch.log10(data_range**2 / mse(a, b))

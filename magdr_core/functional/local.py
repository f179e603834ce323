"""Filters that adapt to the mean and variance around each pixel: Wiener's and the guided one.

Borders are mirrored (`c b a | a b c`, SciPy's `reflect`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional._common import (
    check_images,
    check_odd,
    check_pair,
    check_positive,
    clamp_fuzz,
    filter_separable,
)
from magdr_core.functional.cache_blocked import in_cache
from magdr_core.functional.eightbit import clamp_inclusive


def _box_mean(x: Tensor, kernel: int) -> Tensor:
    return filter_separable(x, [1.0 / kernel] * kernel)


def wiener(x: Tensor, kernel: int = 3, sigma: float | None = None) -> Tensor:
    """Wiener's filter for each channel: pull a pixel to its local mean, the more the less varies around it.

    With local mean m and variance v the output is `m + max(v - n, 0) / max(v, n) (x - m)`, n the noise's
    variance; away from the border it is SciPy's `scipy.signal.wiener` (which pads with zeros).

    Args:
        x: `[B,C,H,W]` in [0,1].
        kernel: side of the neighbourhood, odd.
        sigma: standard deviation of the noise in [0,1] units; None takes the mean of the local variances
            of each image's channel for n.

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Lim, Two-Dimensional Signal and Image Processing, 1990, p. 536.
    """
    check_images(x)
    check_odd(kernel, "kernel")
    if sigma is not None and not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma must be finite and not negative, got {sigma}")
    centred = x - 0.5  # E[x^2] - E[x]^2 loses fewer digits around 0
    mean, square = _box_mean(torch.cat([centred, centred * centred], 1), kernel).chunk(2, 1)
    variance = (square - mean * mean).clamp_min(0.0)
    if sigma is None:
        noise = variance.mean(-1, keepdim=True).mean(-2, keepdim=True)
    else:
        noise = torch.full_like(variance[:, :1, :1, :1], sigma**2)
    gain = (variance - noise).clamp_min(0.0) / torch.maximum(variance, noise).clamp_min(1e-12)
    return clamp_fuzz(mean + 0.5 + gain * (centred - mean))


@in_cache
def guided_filter(x: Tensor, radius: int, eps: float, guide: Tensor | None = None) -> Tensor:
    """Guided filter: smooth, but not across edges of any colour of a guide.

    In each window the image is fitted by `A guide + b` with a ridge of `eps^2` on A; the fits of all windows
    over a pixel are averaged.

    Args:
        x: `[B,3,H,W]` in [0,1].
        radius: of the square windows, in pixels.
        eps: in [0,1] units; smaller differences than this are smoothed away.
        guide: `[B,3,H,W]` in [0,1]; the image itself if None.

    Returns:
        `[B,3,H,W]`, clamped to [0,1]. Differentiable, in the guide as well.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: He, Sun, Tang, IEEE PAMI 35(6), 2013, Eq. 19 to 21 (their epsilon is `eps^2` here).
    """
    check_images(x, channels=3)
    check_positive(eps, "eps")
    if radius != int(radius) or radius < 1:
        raise ValueError(f"radius must be a positive integer, got {radius}")
    if guide is not None:
        check_images(guide, "guide", channels=3)
        check_pair(x, guide)
    kernel = 2 * radius + 1
    centred = (x if guide is None else guide) - 0.5
    r, g, b = centred.unbind(1)
    products = torch.stack([r * r, r * g, r * b, g * g, g * b, b * b], 1)
    mean, second = _box_mean(torch.cat([centred, products], 1), kernel).split([3, 6], 1)
    m = mean.unbind(1)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    covariance = {(i, j): s - m[i] * m[j] for (i, j), s in zip(pairs, second.unbind(1), strict=True)}
    inverse = _inverse(covariance, eps**2)
    if guide is None:
        # Guide and image being the same, A = S (S + e)^-1 = 1 - e (S + e)^-1, and b = mean - A mean.
        rows = [
            [(1.0 if i == j else 0.0) - eps**2 * inverse[min(i, j), max(i, j)] for j in range(3)]
            for i in range(3)
        ]
        means = m
    else:
        other = x - 0.5
        cross = (other[:, :, None] * centred[:, None]).flatten(1, 2)  # row by row: image, then guide
        own, joint = _box_mean(torch.cat([other, cross], 1), kernel).split([3, 9], 1)
        means, joint = own.unbind(1), joint.unbind(1)
        between = [[joint[3 * i + k] - means[i] * m[k] for k in range(3)] for i in range(3)]
        rows = [
            [sum(between[i][k] * inverse[min(k, j), max(k, j)] for k in range(3)) for j in range(3)]
            for i in range(3)
        ]
    offset = [means[i] - sum(rows[i][j] * m[j] for j in range(3)) for i in range(3)]
    fits = torch.stack([*(a for row in rows for a in row), *offset], 1)
    a, offset_mean = _box_mean(fits, kernel).split([9, 3], 1)
    mixed = (a.unflatten(1, (3, 3)) * centred.unsqueeze(1)).sum(2)
    return clamp_inclusive(mixed + offset_mean + 0.5)


def _inverse(s: dict[tuple[int, int], Tensor], ridge: float) -> dict[tuple[int, int], Tensor]:
    """Upper triangle of the inverse of the symmetric 3x3 matrices `s + ridge`.

    By the factors L D L^T: strong edges make the matrices nearly singular, and cofactors would lose the
    digits. Pivots are at least the ridge but for rounding.
    """
    d0 = s[0, 0].clamp_min(0.0) + ridge
    l10, l20 = s[0, 1] / d0, s[0, 2] / d0
    d1 = (s[1, 1] - l10 * s[0, 1]).clamp_min(0.0) + ridge
    cross = s[1, 2] - l20 * s[0, 1]
    l21 = cross / d1
    d2 = (s[2, 2] - l20 * s[0, 2] - l21 * cross).clamp_min(0.0) + ridge
    w20 = l10 * l21 - l20  # the last row of L^-1 is (w20, -l21, 1)
    return {
        (0, 0): 1 / d0 + l10 * l10 / d1 + w20 * w20 / d2,
        (0, 1): -l10 / d1 - w20 * l21 / d2,
        (0, 2): w20 / d2,
        (1, 1): 1 / d1 + l21 * l21 / d2,
        (1, 2): -l21 / d2,
        (2, 2): 1 / d2,
    }

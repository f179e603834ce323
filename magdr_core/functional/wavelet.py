"""Wavelet shrinkage: small details are noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from magdr_core.functional._common import check_images, clamp_fuzz, symmetric_pad
from magdr_core.functional._dwt import Bands, filters_of, inverse_wavelet_transform, wavelet_transform
from magdr_core.functional.eightbit import clamp_inclusive

NORMAL_QUARTILE = 0.6744897501960817
"""The median of |z| for a standard normal z."""


def _default_levels(x: Tensor, wavelet: str) -> int:
    """As many as the size allows less three, at least one: coarser bands hold hardly any noise."""
    length = len(filters_of(wavelet)[0])
    side = min(x.shape[-2:])
    most = int(math.log2(side / (length - 1))) if side >= length else 0
    return max(most - 3, 1)


def _noise_level(diagonal: Tensor) -> Tensor:
    """Donoho's estimate of the noise of each image, `[B,C,h,w] -> [B,1,1,1]`: median |d| / .6745.

    Zeros are left out (saturated areas and mirrored borders have no noise to show); an image of nothing else
    has noise 0.
    """
    sizes = diagonal.abs().flatten(1)
    nonzero = sizes > 1e-6  # below, it is the rounding of a zero, which differs between machines
    count = nonzero.sum(1, keepdim=True)
    # Zeros go to the end, so the two middle values of the rest are at (count - 1) // 2 and count // 2.
    ordered = torch.where(nonzero, sizes, torch.inf).sort(1).values
    lower, upper = (count - 1).clamp_min(0) // 2, count // 2
    middle = (ordered.gather(1, lower) + ordered.gather(1, upper)) / 2
    return (torch.where(count > 0, middle, 0.0) / NORMAL_QUARTILE).reshape(-1, 1, 1, 1)


def _soft(d: Tensor, threshold: Tensor | float) -> Tensor:
    return d.sign() * (d.abs() - threshold).clamp_min(0.0)


def _hard(d: Tensor, threshold: Tensor | float) -> Tensor:
    return torch.where(d.abs() < threshold, 0.0, d)


def _bayes_threshold(d: Tensor, variance: Tensor | float) -> Tensor:
    """Chang, Yu and Vetterli's threshold of each channel's band, noise variance / signal deviation."""
    power = d.square().mean(-1, keepdim=True).mean(-2, keepdim=True)
    signal = (power - variance).clamp_min(torch.finfo(d.dtype).eps)
    return variance / signal.sqrt()


def _shrink(
    x: Tensor, levels: int | None, wavelet: str, rule: Callable[[list[Bands]], list[Bands]]
) -> Tensor:
    count = _default_levels(x, wavelet) if levels is None else levels
    smooth, details = wavelet_transform(x, count, wavelet)
    height, width = x.shape[-2:]
    return clamp_inclusive(inverse_wavelet_transform(smooth, rule(details), (height, width), wavelet))


def wavelet_denoise(
    x: Tensor,
    *,
    sigma: float | None = None,
    levels: int | None = None,
    wavelet: str = "db1",
    method: str = "BayesShrink",
) -> Tensor:
    """Soft-threshold the wavelet details by how much noise there is.

    Args:
        x: `[B,C,H,W]` in [0,1].
        sigma: standard deviation of the noise in [0,1] units; None estimates it for each image from the
            finest diagonal band of all its channels (median / .6745).
        levels: of the transform; None takes as many as the size allows less three, at least one.
        wavelet: `"db1"` (Haar) to `"db4"`.
        method: `"BayesShrink"`, a threshold for each channel's band (variance of the noise over deviation of
            the signal), or `"VisuShrink"`, sigma sqrt(2 log(H W)) for all.

    Returns:
        `[B,C,H,W]`, clamped to [0,1]; what scikit-image's `denoise_wavelet` gives for the same sigma.
        Differentiable.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Chang, Yu, Vetterli, IEEE TIP 9(9), 2000; Donoho and Johnstone, Biometrika 81(3), 1994.
    """
    if sigma is not None and not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma must be finite and not negative, got {sigma}")
    if method not in ("BayesShrink", "VisuShrink"):
        raise ValueError(f"method must be BayesShrink or VisuShrink, got {method!r}")
    check_images(x)
    universal = math.sqrt(2.0 * math.log(x.shape[-2] * x.shape[-1]))

    def rule(details: list[Bands]) -> list[Bands]:
        noise = _noise_level(details[0][2]) if sigma is None else sigma

        def shrink(d: Tensor) -> Tensor:
            bayes = method == "BayesShrink"
            return _soft(d, _bayes_threshold(d, noise**2) if bayes else noise * universal)

        return [(shrink(a), shrink(b), shrink(c)) for a, b, c in details]

    return _shrink(x, levels, wavelet, rule)


def wavelet_threshold(
    x: Tensor, threshold: float, *, levels: int | None = None, wavelet: str = "db1", mode: str = "soft"
) -> Tensor:
    """The same fixed threshold for every wavelet detail of every image.

    Args:
        x: `[B,C,H,W]` in [0,1].
        threshold: in units of an orthonormal transform: noise of standard deviation s has details of s.
        levels, wavelet: as in :func:`wavelet_denoise`.
        mode: `"soft"` (shrink toward 0) or `"hard"` (keep or drop).

    Returns:
        `[B,C,H,W]`, clamped to [0,1]. Differentiable (`"hard"`: almost everywhere).

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Donoho and Johnstone, Biometrika 81(3), 1994.
    """
    check_images(x)
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"threshold must be finite and not negative, got {threshold}")
    if mode not in ("soft", "hard"):
        raise ValueError(f"mode must be soft or hard, got {mode!r}")
    shrink = _soft if mode == "soft" else _hard

    def rule(details: list[Bands]) -> list[Bands]:
        return [tuple(shrink(d, threshold) for d in bands) for bands in details]  # type: ignore[misc]

    return _shrink(x, levels, wavelet, rule)


def average_over_shifts(x: Tensor, shrink: Callable[[Tensor], Tensor], shifts: int) -> Tensor:
    """Mean of `shrink` over shifts^2 placings of the image on the transform's grid (cycle spinning).

    A decimated transform treats a pixel by its place on the grid, which shows as blocks; the mean does not.
    The image is moved by mirrored borders, so that nothing wraps around.

    Args:
        x: `[B,C,H,W]` in [0,1].
        shrink: an image to image map.
        shifts: shifts of 0 to shifts - 1 pixels each way; 1 is plain `shrink`.

    Raises:
        ValueError: shifts below 1.

    Source: Coifman and Donoho, Translation-invariant de-noising, 1995.
    """
    if shifts != int(shifts) or shifts < 1:
        raise ValueError(f"shifts must be a positive integer, got {shifts}")
    total = torch.zeros_like(x)
    for dy in range(shifts):
        for dx in range(shifts):
            total = total + shrink(symmetric_pad(x, dx, 0, dy, 0))[..., dy:, dx:]
    return clamp_fuzz(total / shifts**2)

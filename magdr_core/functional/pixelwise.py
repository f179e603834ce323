"""A Gaussian blur with a width of its own at every pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import check_images, clamp_fuzz


def pixelwise_blur(x: Tensor, precision: Tensor, *, radius: int = 1) -> Tensor:
    """Each pixel becomes a weighted mean of its window, by a Gaussian whose width is that pixel's own.

    The weight of the neighbour at (i, j) is `exp(-(i^2 + j^2) / 2 * s) / Z`, with s the precision at the
    pixel in the middle and Z the sum over the window. So s = 1 / sigma^2: 0 is the plain mean of the window,
    and a large s changes nothing. Borders are mirrored without the border itself (`c b | a b c`).
    Differentiable in both arguments.

    Args:
        x: `[B,C,H,W]` in [0,1].
        precision: `[B,1,H,W]`, or one for each channel `[B,C,H,W]`; not negative.
        radius: of the window, >= 1 and less than both sides; 1 is the published 3x3.

    Returns:
        `[B,C,H,W]` in [0,1].

    Raises:
        ValueError: wrong shapes or radius.

    Source: Wang, Guo, Zuo, Deepfake Forensics via an Adversarial Game, IEEE TIP 2022 (arXiv 2103.13567).
    """
    check_images(x)
    check_images(precision, "precision")
    expected = {(x.shape[0], channels, *x.shape[2:]) for channels in (1, x.shape[1])}
    if tuple(precision.shape) not in expected:
        raise ValueError(f"precision must be [B,1,H,W] or as x, got {tuple(precision.shape)}")
    if radius != int(radius) or not 1 <= radius < min(x.shape[2:]):
        raise ValueError(f"radius must be a whole number from 1 to below both sides, got {radius}")
    height, width = x.shape[2:]
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    total, norm = torch.zeros_like(x), torch.zeros_like(precision)
    for distance, places in _by_distance(radius).items():
        # One exponential for all neighbours that are as far away.
        weight = torch.exp(precision * (-0.5 * distance))
        shown = sum(
            padded[..., radius + i : radius + i + height, radius + j : radius + j + width] for i, j in places
        )
        total, norm = total + weight * shown, norm + len(places) * weight
    return clamp_fuzz(total / norm)


def _by_distance(radius: int) -> dict[int, list[tuple[int, int]]]:
    """The places of a window about its middle, by their squared distance from it."""
    sides = range(-radius, radius + 1)
    found: dict[int, list[tuple[int, int]]] = {}
    for i in sides:
        for j in sides:
            found.setdefault(i * i + j * j, []).append((i, j))
    return found

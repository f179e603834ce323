"""Edge-stopping diffusion, and its opposite: deconvolution of a Gaussian blur."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import (
    check_images,
    check_positive,
    clamp_fuzz,
    filter_separable,
    gaussian_taps,
)
from magdr_core.functional.cache_blocked import in_cache
from magdr_core.functional.eightbit import clamp_inclusive

Conduction = Literal["exponential", "rational"]


def anisotropic_diffusion(
    x: Tensor, kappa: float, steps: int, *, rate: float = 0.2, conduction: Conduction = "exponential"
) -> Tensor:
    """Let colour flow between neighbours, less where they differ more.

    Each step adds `rate * sum over the four neighbours q of g(|q - p|) (q - p)`, with `g(d)` either
    `exp(-(d / kappa)^2)` or `1 / (1 + (d / kappa)^2)`. The difference d is Euclidean in colour, so that the
    channels share their edges. Nothing flows across the image's border.

    Args:
        x: `[B,C,H,W]` in [0,1].
        kappa: differences well above it are edges; in [0,1] units.
        steps: >= 1.
        rate: at most .25, beyond which four neighbours overshoot.
        conduction: `"exponential"` favours strong edges, `"rational"` wide regions.

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Perona and Malik, IEEE PAMI 12(7), 1990, Eq. 7 to 10.
    """
    check_images(x)
    check_positive(kappa, "kappa")
    if steps != int(steps) or steps < 1:
        raise ValueError(f"steps must be a positive integer, got {steps}")
    if not 0 < rate <= 0.25:
        raise ValueError(f"rate must be in (0, 0.25], got {rate}")
    if conduction not in ("exponential", "rational"):
        raise ValueError(f"conduction must be exponential or rational, got {conduction!r}")

    def flow(difference: Tensor) -> Tensor:
        ratio = difference.square().sum(1, keepdim=True) / kappa**2
        g = torch.exp(-ratio) if conduction == "exponential" else 1.0 / (1.0 + ratio)
        return g * difference

    out = x
    for _ in range(steps):
        across, down = flow(out.diff(dim=-1)), flow(out.diff(dim=-2))
        gained = F.pad(across, (0, 1)) + F.pad(down, (0, 0, 0, 1))
        lost = F.pad(across, (1, 0)) + F.pad(down, (0, 0, 1, 0))
        out = out + rate * (gained - lost)
    return clamp_fuzz(out)


@in_cache
def richardson_lucy(x: Tensor, sigma: float, steps: int) -> Tensor:
    """Undo a Gaussian blur by Richardson's and Lucy's iteration, from the image itself.

    Each step multiplies the estimate u by `blur(x / blur(u))`. Few steps sharpen; many amplify noise.

    Args:
        x: `[B,C,H,W]` in [0,1].
        sigma: standard deviation of the blur to undo, in pixels.
        steps: >= 1.

    Returns:
        `[B,C,H,W]`, clamped to [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Richardson, JOSA 62(1), 1972; Lucy, Astronomical Journal 79, 1974.
    """
    check_images(x)
    check_positive(sigma, "sigma")
    if steps != int(steps) or steps < 1:
        raise ValueError(f"steps must be a positive integer, got {steps}")
    taps = gaussian_taps(sigma, int(4.0 * sigma + 0.5))
    out = x
    for _ in range(steps):
        out = out * filter_separable(x / filter_separable(out, taps).clamp_min(1e-6), taps)
    return clamp_inclusive(out)

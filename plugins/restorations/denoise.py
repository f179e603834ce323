"""Classical denoisers, each with the settings that Rec-Net may choose from."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def gaussian(x: Tensor, *, sigma: Annotated[float, Field(gt=0, le=5)] = 0.8) -> Tensor:
    """Gaussian blur; sigma in pixels. `[B,3,H,W]` -> same.

    Args:
        sigma: standard deviation of the blur, in pixels.
    """
    return functional.gaussian_blur(x, sigma)


def median(x: Tensor, *, radius: Annotated[int, Field(ge=1, le=5)] = 1) -> Tensor:
    """Median of each (2 radius + 1)^2 window, per channel.

    Args:
        radius: pixels on each side of the middle one: windows are 2 radius + 1 wide.
    """
    return functional.median_blur(x, 2 * radius + 1)


def bilateral(
    x: Tensor,
    *,
    sigma_color: Annotated[float, Field(gt=0, le=1)] = 0.1,
    sigma_space: Annotated[float, Field(gt=0, le=10)] = 1.5,
    kernel: Annotated[int, Field(ge=3, le=15)] = 5,
) -> Tensor:
    """Bilateral filter with a true-colour range kernel (Tomasi and Manduchi, ICCV 1998).

    Args:
        sigma_color: colour difference that still counts as similar, in [0,1] units.
        sigma_space: standard deviation of the spatial weights, in pixels.
        kernel: side of the square window, in pixels, odd.
    """
    return functional.bilateral(x, kernel, sigma_color, sigma_space)


def nlm(
    x: Tensor,
    *,
    strength: Annotated[float, Field(gt=0, le=1)] = 0.1,
    patch: Annotated[int, Field(ge=3, le=9)] = 3,
    search: Annotated[int, Field(ge=3, le=21)] = 7,
) -> Tensor:
    """Non-local means (Buades et al., CVPR 2005).

    Args:
        strength: difference between patches that still counts as alike, in [0,1] units; higher
            smooths more.
        patch: side of the patches that are compared, in pixels, odd.
        search: side of the window in which they are looked for, in pixels, odd.
    """
    return functional.nlm(x, strength, patch=patch, search=search)


def tv(
    x: Tensor,
    *,
    weight: Annotated[float, Field(gt=0, le=1)] = 0.05,
    steps: Annotated[int, Field(ge=1, le=500)] = 40,
) -> Tensor:
    """Total-variation denoising by Chambolle's dual projection (2004).

    Args:
        weight: strength of the smoothing, in [0,1] units.
        steps: steps of the dual projection; the first one only sets it up.
    """
    return functional.tv_denoise(x, weight, steps)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="gaussian",
            build=stateless(gaussian),
            stage="denoise",
            grid={"sigma": [0.5, 0.8, 1.2]},
            gradient="exact",
        ),
        RestorationSpec(name="median", build=stateless(median), stage="denoise", grid={"radius": [1, 2]}),
        RestorationSpec(
            name="bilateral",
            build=stateless(bilateral),
            stage="denoise",
            grid={"sigma_color": [0.05, 0.1, 0.2]},
            gradient="exact",
        ),
        RestorationSpec(
            name="nlm",
            build=stateless(nlm),
            stage="denoise",
            grid={"strength": [0.05, 0.1, 0.15]},
            gradient="exact",
        ),
        RestorationSpec(
            name="tv",
            build=stateless(tv),
            stage="denoise",
            grid={"weight": [0.03, 0.06, 0.1]},
            gradient="exact",
        ),
    ]

"""Filters that smooth by what they find around a pixel: Wiener, guided, anisotropic diffusion."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def wiener(
    x: Tensor,
    *,
    sigma: Annotated[float, Field(ge=0, le=1)] = 0.04,
    radius: Annotated[int, Field(ge=1, le=7)] = 2,
) -> Tensor:
    """Wiener's local adaptive filter, per channel; sigma 0 estimates the noise. `[B,3,H,W]` -> same.

    Args:
        sigma: standard deviation of the noise, in [0,1] units; 0 estimates it for each picture.
        radius: pixels on each side of the middle one: windows are 2 radius + 1 wide.
    """
    return functional.wiener(x, 2 * radius + 1, sigma or None)


def guided(
    x: Tensor,
    *,
    eps: Annotated[float, Field(gt=0, le=1)] = 0.06,
    radius: Annotated[int, Field(ge=1, le=15)] = 3,
) -> Tensor:
    """Guided filter with the colour image as its own guide (He et al., IEEE PAMI 2013).

    Args:
        eps: contrast below which differences are smoothed away, in [0,1] units.
        radius: pixels on each side of the middle one: windows are 2 radius + 1 wide.
    """
    return functional.guided_filter(x, radius, eps)


def diffusion(
    x: Tensor,
    *,
    kappa: Annotated[float, Field(gt=0, le=1)] = 0.05,
    steps: Annotated[int, Field(ge=1, le=200)] = 16,
) -> Tensor:
    """Anisotropic diffusion, exponential conduction (Perona and Malik, IEEE PAMI 1990).

    Args:
        kappa: colour difference well above which an edge is kept, in [0,1] units.
        steps: diffusion steps; more smooth further.
    """
    return functional.anisotropic_diffusion(x, kappa, steps)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="wiener",
            build=stateless(wiener),
            stage="denoise",
            grid={"sigma": [0.02, 0.04, 0.06]},
            gradient="exact",
            cite="Lim, Two-Dimensional Signal and Image Processing, 1990",
        ),
        RestorationSpec(
            name="guided",
            build=stateless(guided),
            stage="denoise",
            grid={"eps": [0.03, 0.06, 0.1]},
            gradient="exact",
            cite="He, Sun, Tang, Guided image filtering, IEEE PAMI 35(6), 2013",
        ),
        RestorationSpec(
            name="diffusion",
            build=stateless(diffusion),
            stage="denoise",
            grid={"kappa": [0.05, 0.08], "steps": [8, 24]},
            gradient="exact",
            cite="Perona, Malik, Scale-space and edge detection, IEEE PAMI 12(7), 1990",
        ),
    ]

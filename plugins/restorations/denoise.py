"""Classical denoisers, each with the settings that Rec-Net may choose from."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def gaussian(x: Tensor, *, sigma: Annotated[float, Field(gt=0, le=5)] = 0.8) -> Tensor:
    """Gaussian blur; sigma in pixels. `[B,3,H,W]` -> same."""
    return functional.gaussian_blur(x, sigma)


def median(x: Tensor, *, radius: Annotated[int, Field(ge=1, le=5)] = 1) -> Tensor:
    """Median of each (2 radius + 1)^2 window, per channel."""
    return functional.median_blur(x, 2 * radius + 1)


def bilateral(
    x: Tensor,
    *,
    sigma_color: Annotated[float, Field(gt=0, le=1)] = 0.1,
    sigma_space: Annotated[float, Field(gt=0, le=10)] = 1.5,
    kernel: Annotated[int, Field(ge=3, le=15)] = 5,
) -> Tensor:
    """Bilateral filter with a true-colour range kernel (Tomasi and Manduchi, ICCV 1998)."""
    return functional.bilateral(x, kernel, sigma_color, sigma_space)


def nlm(
    x: Tensor,
    *,
    strength: Annotated[float, Field(gt=0, le=1)] = 0.1,
    patch: Annotated[int, Field(ge=3, le=9)] = 3,
    search: Annotated[int, Field(ge=3, le=21)] = 7,
) -> Tensor:
    """Non-local means (Buades et al., CVPR 2005)."""
    return functional.nlm(x, strength, patch=patch, search=search)


def tv(
    x: Tensor,
    *,
    weight: Annotated[float, Field(gt=0, le=1)] = 0.05,
    steps: Annotated[int, Field(ge=1, le=500)] = 40,
) -> Tensor:
    """Total-variation denoising by Chambolle's dual projection (2004)."""
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

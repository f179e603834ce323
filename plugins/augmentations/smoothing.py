"""Smoothing f_k, from a mild blur to an edge-stopping diffusion that takes most of a perturbation away.

Consistency needs f_k of several strengths: the mild ones move a clean output least, the strong ones an
attacked output most.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1


def gaussian(x: Tensor, *, sigma: Annotated[float, Field(gt=0, le=5)] = 0.7) -> Tensor:
    """Gaussian blur; sigma in pixels. `[B,3,H,W]` -> same.

    Args:
        sigma: standard deviation of the blur, in pixels.
    """
    return functional.gaussian_blur(x, sigma)


def nlm(
    x: Tensor,
    *,
    strength: Annotated[float, Field(gt=0, le=1)] = 0.08,
    patch: Annotated[int, Field(ge=3, le=9)] = 3,
    search: Annotated[int, Field(ge=3, le=21)] = 5,
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
    weight: Annotated[float, Field(gt=0, le=1)] = 0.03,
    steps: Annotated[int, Field(ge=2, le=500)] = 20,
) -> Tensor:
    """Total-variation denoising by Chambolle's dual projection (2004).

    Args:
        weight: strength of the smoothing, in [0,1] units.
        steps: steps of the dual projection; the first one only sets it up.
    """
    return functional.tv_denoise(x, weight, steps)


def diffusion(
    x: Tensor,
    *,
    kappa: Annotated[float, Field(gt=0, le=1)] = 0.05,
    steps: Annotated[int, Field(ge=1, le=200)] = 16,
) -> Tensor:
    """Anisotropic diffusion (Perona and Malik, IEEE PAMI 1990).

    Args:
        kappa: colour difference well above which an edge is kept, in [0,1] units.
        steps: diffusion steps; more smooth further.
    """
    return functional.anisotropic_diffusion(x, kappa, steps)


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(name="gaussian", build=stateless(gaussian)),
        AugmentationSpec(name="nlm", build=stateless(nlm)),
        AugmentationSpec(name="tv", build=stateless(tv)),
        AugmentationSpec(name="diffusion", build=stateless(diffusion)),
    ]

"""Coarser chroma: much of a perturbation is colour noise, which faces do not need."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def chroma_blur(x: Tensor, *, sigma: Annotated[float, Field(gt=0, le=10)] = 1.5) -> Tensor:
    """Gaussian blur of the chroma, the luma kept. `[B,3,H,W]` -> same.

    Args:
        sigma: standard deviation of the blur, in pixels.
    """
    return functional.chroma_blur(x, sigma)


def chroma_depth(x: Tensor, *, bits: Annotated[int, Field(ge=1, le=8)] = 5) -> Tensor:
    """Chroma rounded to steps of 2^-bits, the luma kept. `[B,3,H,W]` -> same.

    Args:
        bits: bits b of the chroma, which is rounded to steps of 2^-b in [0,1] units.
    """
    return functional.chroma_depth(x, bits)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="chroma-blur",
            build=stateless(chroma_blur),
            stage="denoise",
            grid={"sigma": [1.0, 1.5, 2.5]},
            gradient="exact",
        ),
        RestorationSpec(
            name="chroma-depth",
            build=stateless(chroma_depth),
            stage="compress",
            grid={"bits": [4, 5, 6]},
            gradient="straight-through",
        ),
    ]

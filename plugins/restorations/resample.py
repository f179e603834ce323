"""Resampling and sharpening."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def resize(x: Tensor, *, scale: Annotated[float, Field(gt=0.1, lt=1)] = 0.75) -> Tensor:
    """Down by `scale` and up again, antialiased. `[B,3,H,W]` -> same.

    Args:
        scale: side of the small picture, as a share of the original side.
    """
    return functional.down_up(x, scale)


def sharpen(
    x: Tensor,
    *,
    amount: Annotated[float, Field(gt=0, le=3)] = 0.5,
    radius: Annotated[float, Field(gt=0.3, le=5)] = 1.0,
) -> Tensor:
    """Unsharp mask: add `amount` of what a Gaussian blur of `radius` takes away.

    Args:
        amount: weight of the detail that is added: 1 doubles it.
        radius: standard deviation of the blur that tells detail, in pixels.
    """
    return functional.unsharp(x, radius, amount)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="resize",
            build=stateless(resize),
            stage="resample",
            grid={"scale": [0.5, 0.75]},
            gradient="exact",
        ),
        RestorationSpec(
            name="sharpen",
            build=stateless(sharpen),
            stage="sharpen",
            grid={"amount": [0.25, 0.5]},
            gradient="exact",
        ),
    ]

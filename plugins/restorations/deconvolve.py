"""Deconvolution: what an earlier layer blurred."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def deconvolve(
    x: Tensor,
    *,
    sigma: Annotated[float, Field(gt=0.3, le=3)] = 0.6,
    steps: Annotated[int, Field(ge=1, le=50)] = 3,
) -> Tensor:
    """Undo a Gaussian blur of `sigma` pixels by a few Richardson-Lucy steps. `[B,3,H,W]` -> same.

    Args:
        sigma: standard deviation of the blur that is undone, in pixels.
        steps: Richardson-Lucy steps; more sharpen further, noise included.
    """
    return functional.richardson_lucy(x, sigma, steps)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="deconvolve",
            build=stateless(deconvolve),
            stage="sharpen",
            grid={"sigma": [0.5, 0.7]},
            gradient="exact",
            cite="Richardson, JOSA 62(1), 1972; Lucy, Astronomical Journal 79, 1974",
        )
    ]

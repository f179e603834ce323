"""Grain and quantisation as f_k: weak evidence by themselves, and cheap."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, SampleRng, hookimpl, stateless

MAGDR_API = 1


def bit_depth(x: Tensor, *, bits: Annotated[int, Field(ge=1, le=8)] = 5) -> Tensor:
    """Round each channel to `bits` bits; gradients pass straight through.

    Args:
        bits: bits per colour channel that are kept, of 8.
    """
    return functional.straight_through(functional.bit_depth(x, bits), x)


def noise(x: Tensor, *, rng: SampleRng, sigma: Annotated[float, Field(gt=0, le=0.5)] = 0.01) -> Tensor:
    """Add Gaussian noise of standard deviation `sigma` (in [0,1] units), clipped to [0,1].

    Args:
        sigma: standard deviation of the noise, in [0,1] units.
    """
    return functional.clamp_inclusive(x + sigma * rng.normal(*x.shape[1:]).to(x.dtype))


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(name="bit-depth", build=stateless(bit_depth)),
        AugmentationSpec(name="noise", build=stateless(noise), stochastic=True),
    ]

"""Compression and quantisation: what a small perturbation does not survive."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1


def jpeg(x: Tensor, *, quality: Annotated[int, Field(ge=1, le=100)] = 75) -> Tensor:
    """JPEG at 4:2:0, there and back (Dziugaite et al., arXiv 1608.00853, use quality 75).

    Args:
        quality: JPEG quality as libjpeg and Pillow count it, 1 (worst) to 100.
    """
    return functional.jpeg(x, quality)


def bit_depth(x: Tensor, *, bits: Annotated[int, Field(ge=1, le=8)] = 5) -> Tensor:
    """Round each channel to `bits` bits (feature squeezing, Xu et al., NDSS 2018).

    Args:
        bits: bits per colour channel that are kept, of 8.
    """
    return functional.straight_through(functional.bit_depth(x, bits), x)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="jpeg",
            build=stateless(jpeg),
            stage="compress",
            grid={"quality": [50, 75, 90]},
            gradient="straight-through",
        ),
        RestorationSpec(
            name="bit-depth",
            build=stateless(bit_depth),
            stage="compress",
            grid={"bits": [4, 5, 6]},
            gradient="straight-through",
        ),
    ]

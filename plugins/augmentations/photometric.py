"""Photometric f_k: mild image processings that a clean picture's edit survives."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1


def jpeg(x: Tensor, *, quality: Annotated[int, Field(ge=1, le=100)] = 75) -> Tensor:
    """JPEG at 4:2:0, there and back; gradients pass straight through its rounding.

    Args:
        quality: JPEG quality as libjpeg and Pillow count it, 1 (worst) to 100.
    """
    return functional.jpeg(x, quality)


def resize(x: Tensor, *, scale: Annotated[float, Field(gt=0.1, lt=1)] = 0.75) -> Tensor:
    """Down and up again, antialiased.

    Args:
        scale: side of the small picture, as a share of the original side.
    """
    return functional.down_up(x, scale)


def bilateral(
    x: Tensor,
    *,
    kernel: Annotated[int, Field(ge=3, le=15)] = 5,
    sigma_color: Annotated[float, Field(gt=0, le=1)] = 0.1,
    sigma_space: Annotated[float, Field(gt=0, le=10)] = 1.5,
) -> Tensor:
    """Bilateral filter with a true-colour range kernel.

    Args:
        kernel: side of the square window, in pixels, odd.
        sigma_color: colour difference that still counts as similar, in [0,1] units.
        sigma_space: standard deviation of the spatial weights, in pixels.
    """
    return functional.bilateral(x, kernel, sigma_color, sigma_space)


def median(x: Tensor, *, radius: Annotated[int, Field(ge=1, le=5)] = 1) -> Tensor:
    """Median of each (2 radius + 1)^2 window, per channel.

    Args:
        radius: pixels on each side of the middle one: windows are 2 radius + 1 wide.
    """
    return functional.median_blur(x, 2 * radius + 1)


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(name="jpeg", build=stateless(jpeg)),
        AugmentationSpec(name="resize", build=stateless(resize)),
        AugmentationSpec(name="bilateral", build=stateless(bilateral)),
        AugmentationSpec(name="median", build=stateless(median)),
    ]

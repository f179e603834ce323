"""Photometric f_k: mild image processings that a clean picture's edit survives."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1


def jpeg(x: Tensor, *, quality: Annotated[int, Field(ge=1, le=100)] = 75) -> Tensor:
    """JPEG at 4:2:0, there and back; gradients pass straight through its rounding."""
    return functional.jpeg(x, quality)


def resize(x: Tensor, *, scale: Annotated[float, Field(gt=0.1, lt=1)] = 0.75) -> Tensor:
    """Down and up again, antialiased."""
    return functional.down_up(x, scale)


def bilateral(
    x: Tensor,
    *,
    kernel: Annotated[int, Field(ge=3, le=15)] = 5,
    sigma_color: Annotated[float, Field(gt=0, le=1)] = 0.1,
    sigma_space: Annotated[float, Field(gt=0, le=10)] = 1.5,
) -> Tensor:
    """Bilateral filter with a true-colour range kernel."""
    return functional.bilateral(x, kernel, sigma_color, sigma_space)


def median(x: Tensor, *, radius: Annotated[int, Field(ge=1, le=5)] = 1) -> Tensor:
    """Median of each (2 radius + 1)^2 window, per channel."""
    return functional.median_blur(x, 2 * radius + 1)


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(name="jpeg", build=stateless(jpeg)),
        AugmentationSpec(name="resize", build=stateless(resize)),
        AugmentationSpec(name="bilateral", build=stateless(bilateral)),
        AugmentationSpec(name="median", build=stateless(median)),
    ]

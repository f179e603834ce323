"""Geometric f_k, undone on the generator's output: mirror and small translation."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1

Pixels = Annotated[int, Field(ge=-16, le=16)]


def flip(x: Tensor) -> Tensor:
    """Mirror left and right; its own inverse. `[B,3,H,W]` -> same."""
    return functional.flip(x)


def shift(x: Tensor, *, dx: Pixels = 2, dy: Pixels = 2) -> Tensor:
    """Translate by whole pixels, borders reflected. `[B,3,H,W]` -> same.

    Args:
        dx: pixels to the right; negative ones go left.
        dy: pixels down; negative ones go up.
    """
    return functional.shift(x, dx, dy)


def shift_back(x: Tensor, *, dx: Pixels = 2, dy: Pixels = 2) -> Tensor:
    """Undo `shift`; the pixels that left the frame are filled by reflection."""
    return functional.shift(x, -dx, -dy)


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(name="flip", build=stateless(flip, undo=flip), tags=("geometric",)),
        AugmentationSpec(name="shift", build=stateless(shift, undo=shift_back), tags=("geometric",)),
    ]

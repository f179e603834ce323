"""Small rotation and zoom as f_k, undone on the generator's output."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1

Degrees = Annotated[float, Field(ge=-30, le=30)]
Factor = Annotated[float, Field(ge=0.7, le=1.4)]


def rotate(x: Tensor, *, degrees: Degrees = 3.0) -> Tensor:
    """Rotate counter-clockwise about the centre, bilinearly, borders reflected. `[B,3,H,W]` -> same.

    Args:
        degrees: angle, in degrees counter-clockwise.
    """
    return functional.rotate(x, degrees)


def rotate_back(x: Tensor, *, degrees: Degrees = 3.0) -> Tensor:
    """Undo `rotate`; the corners that left the frame are filled by reflection."""
    return functional.rotate(x, -degrees)


# By default the picture shrinks: what is then reflected in at the border leaves again with the undoing, and
# nothing of the picture is lost.
def zoom(x: Tensor, *, factor: Factor = 0.94) -> Tensor:
    """Magnify about the centre, bilinearly; below 1 reflected borders come in. `[B,3,H,W]` -> same.

    Args:
        factor: magnification; below 1 the picture shrinks.
    """
    return functional.zoom(x, factor)


def zoom_back(x: Tensor, *, factor: Factor = 0.94) -> Tensor:
    """Undo `zoom`; a border that left the frame (factor above 1) is filled by reflection."""
    return functional.zoom(x, 1 / factor)


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(name="rotate", build=stateless(rotate, undo=rotate_back), tags=("geometric",)),
        AugmentationSpec(name="zoom", build=stateless(zoom, undo=zoom_back), tags=("geometric",)),
    ]

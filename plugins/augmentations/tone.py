"""Brightness and contrast as f_k, undone on the generator's output (up to what the edit itself did)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core import functional
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1

Lift = Annotated[float, Field(ge=-0.8, le=0.8)]
Fade = Annotated[float, Field(ge=0, le=0.8)]


def brightness(x: Tensor, *, amount: Lift = 0.15) -> Tensor:
    """Lift the middle tones along `x + amount x (1 - x)`: a gamma curve with finite slopes.

    Args:
        amount: lift of the middle tones: 0.15 takes 0.5 to 0.5375, negative amounts darken.
    """
    return functional.brighten(x, amount)


def brightness_back(x: Tensor, *, amount: Lift = 0.15) -> Tensor:
    """Undo `brightness`, exactly."""
    return functional.unbrighten(x, amount)


def contrast(x: Tensor, *, amount: Fade = 0.08) -> Tensor:
    """Pull all values toward 1/2 by `amount`. `[B,3,H,W]` -> same.

    Args:
        amount: share of the way that values go towards 1/2.
    """
    return functional.fade(x, amount)


def contrast_back(x: Tensor, *, amount: Fade = 0.08) -> Tensor:
    """Undo `contrast`; an output that is blacker or whiter than the faded range is clamped."""
    return functional.unfade(x, amount)


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [
        AugmentationSpec(
            name="brightness", build=stateless(brightness, undo=brightness_back), tags=("invertible",)
        ),
        AugmentationSpec(
            name="contrast", build=stateless(contrast, undo=contrast_back), tags=("invertible",)
        ),
    ]

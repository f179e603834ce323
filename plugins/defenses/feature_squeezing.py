"""Feature squeezing: fewer grey levels, a small median, non-local means, at their published strengths.

Xu, Evans and Qi, Feature Squeezing, NDSS 2018 (arXiv 1704.01155; github.com/mzweilin/EvadeML-Zoo). They
compare a classifier's answers to several squeezed inputs in order to detect; each squeezer is a defense of
its own as well. Their set for colour photos is 5 bits, a median of 2 x 2 and non-local means 11-3-4: search
windows of 11 pixels, patches of 3, strength 4 of 255 levels.

Their non-local means are OpenCV's for colour: lightness and chroma are filtered apart, in L*a*b* with L
stretched to 255 levels. Here the same, without OpenCV's rounding to 8 bits on the way.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, hookimpl
from magdr_core.functional import bit_depth, median_blur, nlm, straight_through

from ._lab import from_lab, to_lab

MAGDR_API = 1

Squeezer = Literal["bit-depth", "median", "nlm"]


class FeatureSqueezing:
    """Fewer grey levels, a small median and non-local means, in the order that `squeezers` names.

    Args:
        squeezers: what is done to the picture, in this order.
        bits: bits per channel that `bit-depth` keeps.
        window: side of the median's window, in pixels.
        search: side of the window in which non-local means look for patches, in pixels, odd.
        patch: side of the patches of non-local means, in pixels, odd.
        strength: strength of non-local means, in levels of 255.

    Raises:
        ValueError: no squeezer, or an even `search` or `patch`.
    """

    def __init__(
        self,
        *,
        squeezers: tuple[Squeezer, ...] = ("bit-depth", "median", "nlm"),
        bits: Annotated[int, Field(ge=1, le=8)] = 5,
        window: Annotated[int, Field(ge=1, le=9)] = 2,
        search: Annotated[int, Field(ge=3, le=21)] = 11,
        patch: Annotated[int, Field(ge=3, le=9)] = 3,
        strength: Annotated[float, Field(gt=0, le=255)] = 4.0,
    ) -> None:
        if not squeezers:
            raise ValueError("squeezers is empty; name at least one of bit-depth, median, nlm")
        if search % 2 == 0 or patch % 2 == 0:
            raise ValueError(f"search = {search} and patch = {patch} must be odd")
        self.squeezers = squeezers
        self.bits = bits
        self.window = window
        self.search = search
        self.patch = patch
        self.strength = strength

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same; rounding passes gradients through."""
        y = x
        for squeezer in self.squeezers:
            match squeezer:
                case "bit-depth":
                    y = straight_through(bit_depth(y.detach(), self.bits), y)
                case "median":
                    y = median_blur(y, self.window)
                case "nlm":
                    y = colour_nlm(y, self.strength, patch=self.patch, search=self.search)
        return y


def colour_nlm(x: Tensor, strength: float, *, patch: int, search: int) -> Tensor:
    """Non-local means of L and of (a, b) apart, `[B,3,H,W]` in [0,1] -> same.

    Args:
        strength: in levels of 255, of L (stretched to them) and of a and b.
        patch, search: sides in pixels, odd.
    """
    lab = to_lab(x)
    lightness = nlm(lab[:, :1] / 100, strength / 255, patch=patch, search=search)
    # The filter takes values in [0,1].
    chroma = nlm(lab[:, 1:] / 255 + 0.5, strength / 255, patch=patch, search=search)
    return from_lab(torch.cat([100 * lightness, 255 * (chroma - 0.5)], 1))


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="feature-squeezing",
            build=FeatureSqueezing,
            gradient="straight-through",
            cite="Xu et al., Feature Squeezing, NDSS 2018 (arXiv 1704.01155)",
            tags=("baseline",),
        )
    ]

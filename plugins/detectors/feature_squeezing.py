"""Feature squeezing: how far the output moves when the input loses detail (Xu et al., NDSS 2018).

Published: the L1 distance between a classifier's probabilities on the image and on the squeezed image, the
largest over the squeezers of a joint detector. Here the generator's outputs stand in for the probabilities,
and the distance is their mean absolute difference, so that it does not grow with the picture. The default
squeezers are those published for ImageNet: 5 bits, a 2x2 median, non-local means 11-3-4 (search window,
patch, strength of 255). Nothing is fitted; the threshold, which core sets on clean faces, is all there is.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DetectorSpec, Field, Generator, ImageMap, hookimpl
from magdr_core.functional import bit_depth, median_blur, nlm, straight_through

MAGDR_API = 1

Bits = Annotated[int, Field(ge=1, le=7)]
Kernel = Annotated[int, Field(ge=2, le=9)]
Strength = Annotated[float, Field(gt=0, le=1)]
Odd = Annotated[int, Field(ge=1, le=31)]


class FeatureSqueezing:
    """Distance of outputs before and after squeezing the input; the largest over the squeezers.

    `max_s mean|G(x,c) - G(s(x),c)|`, `[B]` in [0,1] units; 1 + S generator passes for S squeezers.

    Args:
        bits: bits per channel of each bit-depth squeezer, one squeezer per entry.
        medians: sides of the median squeezers' windows, in pixels, one squeezer per entry.
        nlm_strengths: strengths of the non-local means squeezers, in [0,1] units, one squeezer per
            entry.
        nlm_search: side of the window in which non-local means look for patches, in pixels, odd.
        nlm_patch: side of the patches of non-local means, in pixels, odd.

    Raises:
        ValueError: there is no squeezer.
    """

    def __init__(
        self,
        *,
        bits: tuple[Bits, ...] = (5,),
        medians: tuple[Kernel, ...] = (2,),
        nlm_strengths: tuple[Strength, ...] = (4 / 255,),
        nlm_search: Odd = 11,
        nlm_patch: Odd = 3,
    ) -> None:
        self.squeezers: list[ImageMap] = [
            *[partial(_fewer_bits, bits=b) for b in bits],
            *[partial(median_blur, kernel=k) for k in medians],
            *[partial(nlm, strength=s, patch=nlm_patch, search=nlm_search) for s in nlm_strengths],
        ]
        if not self.squeezers:
            raise ValueError("feature squeezing needs at least one squeezer")

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        y = G(x, c)
        moved = [(G(squeeze(x), c) - y).abs().flatten(1).mean(1) for squeeze in self.squeezers]
        return torch.stack(moved).amax(0)


def _fewer_bits(x: Tensor, bits: int) -> Tensor:
    return straight_through(bit_depth(x, bits), x)


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="feature-squeezing",
            build=FeatureSqueezing,
            cite="Xu, Evans, Qi, Feature Squeezing, NDSS 2018 (arXiv 1704.01155)",
            gradient="straight-through",
        )
    ]

"""Colours of a region: their mean and spread, and another picture's laid upon them."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional import luma

LEAST = 1e-3
"""Of a weight that is divided by, in pixels, and of a spread."""

STRETCH = (0.5, 2.0)
"""Of a channel's spread: a flat one of the donor's would else be blown up to patches of colour."""


def colour_moments(x: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the channels of `[B,C,H,W]` in a region `[B,1,H,W]`: `[B,C,1,1]` both."""
    weight = region.sum(-1, keepdim=True).sum(-2, keepdim=True).clamp_min(LEAST)
    mean = (x * region).sum(-1, keepdim=True).sum(-2, keepdim=True) / weight
    square = ((x - mean).square() * region).sum(-1, keepdim=True).sum(-2, keepdim=True) / weight
    return mean, square.sqrt()


def matched(content: Tensor, source: Tensor, region: Tensor, amount: Tensor | None = None) -> Tensor:
    """Content with the source's mean and spread in a region, channel by channel (Reinhard et al. 2001).

    Args:
        content, source: `[B,3,H,W]`.
        region: `[B,1,H,W]` in [0,1].
        amount: `[B]` in [0,1], how far; all the way if None.

    Returns:
        `[B,3,H,W]` in [0,1].
    """
    (mean, spread), (wanted, wide) = colour_moments(content, region), colour_moments(source, region)
    there = (content - mean) * (wide / spread.clamp_min(LEAST)).clamp(*STRETCH) + wanted
    if amount is not None:
        there = content + amount[:, None, None, None] * (there - content)
    return there.clamp(0, 1)


def jittered(x: Tensor, shift: Tensor, saturation: Tensor, contrast: Tensor, lift: Tensor) -> Tensor:
    """`[B,3,H,W]` in [0,1] with other colours -> same.

    Args:
        shift: `[B,3]`, added to the channels.
        saturation, contrast: `[B]` factors, about grey and about one half.
        lift: `[B]`, added to all.
    """
    grey = luma(x)
    y = grey + saturation[:, None, None, None] * (x - grey)
    y = 0.5 + contrast[:, None, None, None] * (y - 0.5)
    return (y + shift[:, :, None, None] + lift[:, None, None, None]).clamp(0, 1)


def pick(choice: Tensor, options: list[Tensor]) -> Tensor:
    """The option that each picture chose: `[B]` numbers of `[B, ...]` options."""
    result = options[0]
    for i, option in enumerate(options[1:], 1):
        result = torch.where((choice == i).reshape(-1, *[1] * (option.ndim - 1)), option, result)
    return result

"""What pictures go through on their way: the kinds of degradation by which forensic models are judged.

Kinds and levels of DeeperForensics-1.0 (Jiang et al., CVPR 2020, arXiv 2001.03024) that no other component
covers: its blur is `gaussian`, its contrast as a word is `contrast`, and what it calls JPEG is `resize`.
Its levels are for 256 px and more: what is measured in pixels is measured in shares of 256 here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import AugmentationSpec, Field, SampleRng, hookimpl, stateless
from magdr_core.functional import from_ycbcr, luma, straight_through, to_8bit, to_ycbcr

from ._h264 import through_h264

MAGDR_API = 1

LEVELS: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "saturation": tuple({"factor": f} for f in (0.4, 0.3, 0.2, 0.1, 0.0)),
    "dim": tuple({"factor": f} for f in (0.85, 0.725, 0.6, 0.475, 0.35)),
    "blocks": tuple({"count": n} for n in (16, 32, 48, 64, 80)),
    "chroma-noise": tuple({"variance": v} for v in (0.001, 0.002, 0.005, 0.01, 0.05)),
    "pixelate": tuple({"factor": n} for n in (2, 3, 4, 5, 6)),
    "h264": tuple({"crf": c} for c in (30, 32, 35, 38, 40)),
}
"""The five levels of each, mildest first."""

BLOCK = 8 / 256
"""Side of a grey block, in shares of the shorter side."""

GREY = 128 / 255

MACROBLOCK = 16
"""Least side of a picture that an encoder takes."""


def saturation(x: Tensor, *, factor: Annotated[float, Field(ge=0, le=2)] = 0.4) -> Tensor:
    """Colours towards grey of the same luma, `[B,3,H,W]` -> same: 0 is grey, 1 changes nothing.

    Args:
        factor: share of the colourfulness that is kept: 0 gives greys, 1 the picture, 2 twice the
            colour.
    """
    grey = luma(x)
    return (grey + factor * (x - grey)).clamp(0, 1)


def dim(x: Tensor, *, factor: Annotated[float, Field(ge=0, le=1)] = 0.85) -> Tensor:
    """All values times a factor: what DeeperForensics calls contrast. `[B,3,H,W]` -> same.

    Args:
        factor: what every value is multiplied by.
    """
    return x * factor


def blocks(x: Tensor, *, rng: SampleRng, count: Annotated[int, Field(ge=1, le=500)] = 16) -> Tensor:
    """Grey squares of one 32nd of the side at random places, which may overlap. `[B,3,H,W]` -> same.

    Args:
        count: number of grey squares.
    """
    height, width = x.shape[2:]
    side = max(1, round(BLOCK * min(height, width)))
    places = rng.uniform(2, count)
    top, left = (
        (places[:, k] * (size - side + 1)).long().clamp_max(size - side)[:, :, None]
        for k, size in ((0, height), (1, width))
    )
    rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
    in_row = ((rows >= top) & (rows < top + side)).to(x.dtype)
    in_column = ((columns >= left) & (columns < left + side)).to(x.dtype)
    covered = torch.bmm(in_row.mT, in_column)[:, None] > 0
    return torch.where(covered, GREY, x)


def chroma_noise(
    x: Tensor, *, rng: SampleRng, variance: Annotated[float, Field(gt=0, le=0.5)] = 0.001
) -> Tensor:
    """Gaussian noise of one variance in luma and both chromas (in [0,1] units). `[B,3,H,W]` -> same.

    Args:
        variance: variance of the noise, in squared [0,1] units.
    """
    noise = math.sqrt(variance) * rng.normal(*x.shape[1:]).to(x.dtype)
    y, cb, cr = (plane + noise[:, k : k + 1] for k, plane in enumerate(to_ycbcr(x)))
    return from_ycbcr(y, cb, cr).clamp(0, 1)


def pixelate(x: Tensor, *, factor: Annotated[int, Field(ge=1, le=64)] = 2) -> Tensor:
    """Squares of `factor` pixels a side in their mean colour, smaller at the right and lower border.

    `[B,3,H,W]` -> same.

    Args:
        factor: side of the squares, in pixels.
    """
    height, width = x.shape[2:]
    padded = F.pad(x, (0, -width % factor, 0, -height % factor), mode="replicate")
    ones = F.pad(torch.ones_like(x[:1, :1]), (0, -width % factor, 0, -height % factor))
    total = F.avg_pool2d(padded * ones, factor)
    mean = total / F.avg_pool2d(ones, factor)
    full = mean.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return full[..., :height, :width].clamp(0, 1)


def h264(x: Tensor, *, crf: Annotated[int, Field(ge=0, le=51)] = 23) -> Tensor:
    """H.264 (x264, 4:2:0), and back: each picture as the only frame of a clip, or a clip's frames together.

    `[B,3,H,W]` -> same. Gradients pass straight through. A codec works on squares of 16 pixels: on a picture
    of 64 there are four by four, and a level does not do what it does to a large one.

    Args:
        crf: constant rate factor of x264: 0 loses next to nothing, 51 is the coarsest.

    Raises:
        DataError: the codec cannot be used.
    """
    if not len(x):
        return x
    coded = [_coded(one, crf, {"g": "1", "bf": "0"}) for one in x.split(1)]
    return straight_through(torch.cat(coded), x)


def h264_clip(x: Tensor, *, crf: Annotated[int, Field(ge=0, le=51)] = 23) -> Tensor:
    """The frames of one clip, `[n,3,H,W]` in their order -> same, as x264 codes them when it is told nothing
    but the level: most are predicted from others, as in the published videos of FaceForensics++.

    Raises:
        DataError: the codec cannot be used.
    """
    return straight_through(_coded(x, crf, {}), x) if len(x) else x


def _coded(x: Tensor, crf: int, options: Mapping[str, str]) -> Tensor:
    """`[n,3,H,W]` in [0,1] after H.264 -> same, 8-bit, without gradients."""
    levels = (to_8bit(x.detach()) * 255).round().to(torch.uint8).cpu()
    height, width = x.shape[2:]
    # Odd sides, and ones that are too small for an encoder, are continued by the border's pixels.
    right, down = (max(MACROBLOCK, n + n % 2) - n for n in (width, height))
    rows, columns = (torch.arange(n + more).clamp_max(n - 1) for n, more in ((height, down), (width, right)))
    whole = levels[:, :, rows][:, :, :, columns].permute(0, 2, 3, 1).contiguous()
    back = through_h264(whole, crf, options)[:, :height, :width]
    return back.permute(0, 3, 1, 2).to(x.device, x.dtype) / 255


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    tags = ("degradation",)
    return [
        AugmentationSpec(name="saturation", build=stateless(saturation), tags=tags),
        AugmentationSpec(name="dim", build=stateless(dim), tags=tags),
        AugmentationSpec(name="blocks", build=stateless(blocks), tags=tags, stochastic=True),
        AugmentationSpec(name="chroma-noise", build=stateless(chroma_noise), tags=tags, stochastic=True),
        AugmentationSpec(name="pixelate", build=stateless(pixelate), tags=tags),
        AugmentationSpec(
            name="h264",
            build=stateless(h264, clip=h264_clip),
            tags=tags,
            device="cpu",
            requires=("av",),
            extra="magdr[video]",
        ),
    ]

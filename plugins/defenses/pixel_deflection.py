"""Pixel deflection: a few pixels replaced by near neighbours, then wavelet denoising.

Prakash, Moran, Garber, DiLillo and Storer, Deflecting Adversarial Attacks with Pixel Deflection, CVPR 2018
(arXiv 1801.08926); the details are those of the authors' code (github.com/iamaaditya/pixel-deflection) at its
published setting: 200 deflections within 10 pixels on photos of 224 x 224, then BayesShrink with sigma 0.04.

Adapted: the paper deflects less where a class activation map is high. A generator edits a whole face and has
no class to activate, so every pixel is equally likely, which is what the authors' code does with its map
switched off. Numbers are not scaled with the image: 200 deflections hit 0.4% of the values of a photo of 224
pixels and 1.6% of one of 64; a registry may set what calibration finds best.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, SampleRng, hookimpl
from magdr_core.functional import wavelet_denoise_ycbcr

MAGDR_API = 1

CHANNELS = 3


def deflect(x: Tensor, to: Tensor, source: Tensor) -> Tensor:
    """Copy one value after the other inside each plane: `x[to[t]] = x[source[t]]` for t = 0, 1, ...

    The copies are sequential as in the authors' code: a value that was copied may be copied on, and the last
    one that a pixel receives stays. That is a question of which *original* pixel ends where, and it has an
    answer without the loop: step t passes on what the last earlier step that wrote to `source[t]` passed on
    (found by a search in the sorted writes), so every step points to an earlier one or to an original pixel.
    Following the pointers, doubled each time, takes log2(n) rounds. The result equals the loop's exactly.

    Args:
        x: `[B,C,P]`, planes of P pixels.
        to, source: `[B,C,n]` int64, pixels in 0..P-1.

    Returns:
        `[B,C,P]`. Differentiable in x: values move, none is changed.
    """
    count, pixels = to.shape[-1], x.shape[-1]
    if count == 0:
        return x.clone()
    to, source = to.contiguous(), source.contiguous()  # the search would copy them, with a warning
    step = torch.arange(count, device=x.device)
    writes = (to * count + step).sort(-1).values  # by pixel, then by time
    pixel, when = writes // count, writes % count
    earlier = torch.searchsorted(writes, source * count + step) - 1
    found = writes.gather(-1, earlier.clamp_min(0))
    chained = (earlier >= 0) & (found // count == source)
    pointer = torch.where(chained, found % count, step)
    for _ in range((count - 1).bit_length()):
        pointer = pointer.gather(-1, pointer)
    origin = source.gather(-1, pointer)  # of what each step writes
    final = torch.ones_like(pixel, dtype=torch.bool)
    final[..., :-1] = pixel[..., 1:] != pixel[..., :-1]
    # One slot too many takes the writes that others overwrite.
    here = torch.arange(pixels + 1, device=x.device).expand(*x.shape[:-1], -1)
    taken = here.scatter(-1, torch.where(final, pixel, pixels), origin.gather(-1, when))
    return x.gather(-1, taken[..., :pixels])


class PixelDeflection:
    """Replace a few values by near neighbours, then shrink wavelet details in YCbCr.

    Args:
        deflections: number of copied values, shared out evenly to the three channels (rounded up).
        window: a value comes from at most so many pixels away in each direction, from inside the picture.
        sigma: standard deviation of the noise that wavelets take out, in [0,1] units; 0 leaves that
            step out.
    """

    def __init__(
        self,
        *,
        deflections: Annotated[int, Field(ge=0, le=100_000)] = 200,
        window: Annotated[int, Field(ge=1, le=256)] = 10,
        sigma: Annotated[float, Field(ge=0, le=1)] = 0.04,
    ) -> None:
        self.rounds = -(-deflections // CHANNELS)
        self.window = window
        self.sigma = sigma

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        width = x.shape[3]
        # One round deflects one value of each channel; the channels are drawn apart, as by the authors.
        row, column, row_draw, column_draw = rng.bits(self.rounds, CHANNELS, 4).transpose(1, 2).unbind(-1)
        row, from_row = self._pair(row, row_draw, x.shape[2])
        column, from_column = self._pair(column, column_draw, width)
        moved = deflect(x.flatten(2), row * width + column, from_row * width + from_column).reshape(x.shape)
        return wavelet_denoise_ycbcr(moved, self.sigma) if self.sigma else moved

    def _pair(self, bits: Tensor, more_bits: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """A uniform place along a side of `size` pixels, and a uniform one in the window around it.

        Drawing inside the picture is the same as the authors' drawing anew until a place is inside (theirs
        never takes row or column 0, which is left out here).
        """
        place = bits * size >> 32
        first = (place - self.window).clamp_min(0)
        last = (place + self.window).clamp_max(size - 1)
        return place, first + (more_bits * (last - first + 1) >> 32)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="pixel-deflection",
            build=PixelDeflection,
            stochastic=True,
            gradient="exact",
            cite="Prakash et al., Deflecting Adversarial Attacks with Pixel Deflection, CVPR 2018",
            tags=("baseline",),
        )
    ]

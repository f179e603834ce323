"""Self-blended pictures: a face pasted over itself, with the traces of blending and no other face.

After Shiohara and Yamasaki, CVPR 2022 (arXiv 2204.08376). There the changes of colour and sharpness go into
either of the two sides; here always into the pasted one, so that a forged picture equals its real one outside
the mask.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import Batch, Forged, SampleRng
from magdr_core.functional import constant, join_parts, resize

from ._blur import high_pass
from ._colour import jittered, pick
from ._paste import feathered, paste, unforged
from ._regions import FACE, Affine, moments, moved, or_face, parts_of, pixel_grid, sampled
from ._swap import slightly

LEVEL = 20 / 255
"""Largest shift of a colour channel."""

SATURATION, CONTRAST, LIFT = 0.3, 0.1, 0.1
"""Largest changes of these."""

SHIFT, SCALE, TURN = (0.03, 0.015), 0.04, math.radians(3)
"""Of the affine change: along x and y in shares of the side, in size, and in angle."""

STRENGTHS = (0.5, 0.75, 1.0, 1.0)
"""Of the pasted face, equally likely."""

WOBBLE = 2.5
"""Of the mask's elastic change, in pixels of a picture of 64."""

COARSE = 4
"""Side of the grid of an elastic change."""


class SelfBlended:
    """The picture's own face, with other colours and sharpness, pasted a little beside itself.

    Args:
        feather: least and largest standard deviation of the soft borders, in pixels of a picture of 64.
    """

    def __init__(self, *, feather: tuple[float, float] = (0.8, 2.5)) -> None:
        self.feather = feather

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored."""
        x = batch.images
        content = self._sharpness(self._colours(x, rng.fork(1)), rng.fork(2))
        content = moved(content, self._affine(batch, rng.fork(3)))
        return self._pasted(batch, content, rng)

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The picture resampled by less than a pixel, in the same region."""
        content = moved(batch.images, slightly(rng.fork(3)))
        return unforged(self._pasted(batch, content, rng).images)

    def _pasted(self, batch: Batch, content: Tensor, rng: SampleRng) -> Forged:
        mask = rng.fork(4)
        parts = parts_of(batch)
        face = elastic(or_face(join_parts(parts, FACE), parts), WOBBLE, mask)
        low, high = self.feather
        alpha = feathered(face, mask.uniform(1, low=low, high=high)[:, 0])
        strengths = constant(STRENGTHS, rng.device)
        return paste(batch.images, content, alpha, strengths[mask.integers(high=len(STRENGTHS))])

    @staticmethod
    def _colours(x: Tensor, rng: SampleRng) -> Tensor:
        shift = rng.uniform(3, low=-LEVEL, high=LEVEL)
        saturation, contrast = (1 + rng.uniform(low=-most, high=most) for most in (SATURATION, CONTRAST))
        return jittered(x, shift, saturation, contrast, rng.uniform(low=-LIFT, high=LIFT))

    @staticmethod
    def _sharpness(x: Tensor, rng: SampleRng) -> Tensor:
        """Sharpened, or down-scaled by 2 or 4 and enlarged again."""
        amount = rng.uniform(1, 1, 1, low=0.5, high=1.5)
        sharp = (x + amount * high_pass(x)).clamp(0, 1)
        size = (x.shape[-2], x.shape[-1])
        small = [resize(resize(x, scale=1 / n), size, mode="bilinear") for n in (2, 4)]
        # A quarter of the scaling is by 4.
        drawn = rng.integers(high=8)
        return pick((drawn >= 4).long() + (drawn == 7), [sharp, *small])

    @staticmethod
    def _affine(batch: Batch, rng: SampleRng) -> Affine:
        side = batch.images.shape[-1]
        centre = moments(join_parts(parts_of(batch), FACE)).mean
        shift = rng.uniform(2, low=-1.0) * constant(SHIFT, rng.device) * side
        scale, turn = 1 + rng.uniform(low=-SCALE, high=SCALE), rng.uniform(low=-TURN, high=TURN)
        cosine, sine = scale * turn.cos(), scale * turn.sin()
        rows = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
        return Affine(rows, centre, centre + shift)


def elastic(x: Tensor, amount: float, rng: SampleRng) -> Tensor:
    """`[B,C,H,W]` pulled about by a smooth random field of up to `amount` pixels of a picture of 64."""
    return sampled(x, pixel_grid(x) + smooth_field(x, amount, rng))


def smooth_field(x: Tensor, amount: float, rng: SampleRng) -> Tensor:
    """Displacements `[B,H,W,2]` in pixels, for `[B,C,H,W]`."""
    coarse = rng.uniform(2, COARSE, COARSE, low=-1.0)
    field = F.interpolate(coarse, x.shape[-2:], mode="bicubic", align_corners=True)
    return field.permute(0, 2, 3, 1) * amount * x.shape[-1] / 64

"""Small forgeries without another face: a part painted out, a part pulled out of shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.api import Batch, Forged, SampleRng
from magdr_core.functional import join_parts

from ._blur import blur_each
from ._colour import colour_moments, pick
from ._paste import feathered, paste, unforged
from ._regions import FACE, Affine, moments, moved, or_face, parts_of, pixel_grid, sampled, widened
from ._self_blend import smooth_field
from ._swap import SPLICED, chosen_part, slightly

SMOOTHING = 1.6
"""Sigma of the blur, in pixels of a picture of 64."""

ROUNDS = 2
"""Rounds of diffusion for each pixel of the picture's side: enough for a part, which is a quarter as wide."""

ENLARGED, TURNED = (0.82, 1.22), math.radians(9)
"""Range of a part's change in size, and its largest angle."""

PULLED = 3.0
"""Largest elastic displacement, in pixels of a picture of 64."""


class Inpainted:
    """A part, or a patch of skin, filled from its border by diffusion, or smoothed away.

    Args:
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
    """

    def __init__(self, *, feather: float = 0.6) -> None:
        self.feather = feather

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored."""
        x, parts = batch.images, parts_of(batch)
        region, _ = chosen_part(parts, parts, rng.fork(3))
        sigma = x.new_full((len(x),), SMOOTHING * x.shape[-1] / 64)
        smooth = blur_each(x, sigma, widest=float(SMOOTHING * x.shape[-1] / 64))
        choice = rng.fork(5).integers(high=2)
        content = pick(choice, [diffused(x, region > 0.5), smooth])
        return paste(x, content, feathered(region, x.new_full((len(x),), self.feather)))

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The picture itself: nothing is left of inpainting without the fill."""
        return unforged(batch.images)


def diffused(x: Tensor, hole: Tensor) -> Tensor:
    """`[B,C,H,W]` whose hole is filled with the mean of neighbours, over and over (Jacobi's iteration for
    Laplace's equation; the border of the picture is mirrored).

    Args:
        hole: `[B,1,H,W]` bool.
    """
    mean, _ = colour_moments(x, (~hole).to(x.dtype))
    y = torch.where(hole, mean, x)
    for _ in range(ROUNDS * x.shape[-1]):
        up, down = (
            torch.cat([y[..., :1, :], y[..., :-1, :]], -2),
            torch.cat([y[..., 1:, :], y[..., -1:, :]], -2),
        )
        left, right = torch.cat([y[..., :1], y[..., :-1]], -1), torch.cat([y[..., 1:], y[..., -1:]], -1)
        y = torch.where(hole, (up + down + left + right) / 4, x)
    return y


class Warped:
    """A part enlarged, shrunk or turned, or the whole face pulled about; the change fades out at the border.

    Args:
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
    """

    def __init__(self, *, feather: float = 2.0) -> None:
        self.feather = feather

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored."""
        x = batch.images
        alpha, by = self._chosen(batch, rng)
        grid = pixel_grid(x)
        offset = grid - by.centre[:, None, None]
        affine = (by.matrix[:, None, None] * offset[..., None, :]).sum(-1) + by.place[:, None, None] - grid
        pull = pick(rng.fork(1).integers(high=2), [affine, smooth_field(x, PULLED, rng.fork(2))])
        # Displaced in proportion to alpha: nothing is torn, and the border keeps its place.
        return paste(x, sampled(x, grid + alpha[:, 0, :, :, None] * pull), (alpha > 0).to(x.dtype))

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The same region resampled by less than a pixel."""
        alpha, _ = self._chosen(batch, rng)
        return unforged(paste(batch.images, moved(batch.images, slightly(rng.fork(3))), alpha).images)

    def _chosen(self, batch: Batch, rng: SampleRng) -> tuple[Tensor, Affine]:
        """Where, `[B,1,H,W]` with soft borders, and what an affine change of it would be."""
        rng = rng.fork(4)
        parts = parts_of(batch)
        around = round(3 * parts.shape[-1] / 64)
        named = [widened(join_parts(parts, names), around) for names in SPLICED]
        region = or_face(pick(rng.integers(high=len(named) + 1), [*named, join_parts(parts, FACE)]), parts)
        low, high = ENLARGED
        # Not by about 1, which would be no change.
        scale = torch.where(
            rng.uniform() < 0.5, rng.uniform(low=low, high=0.92), rng.uniform(low=1.1, high=high)
        )
        turn = rng.uniform(low=-TURNED, high=TURNED)
        cosine, sine = scale * turn.cos(), scale * turn.sin()
        rows = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
        centre = moments(region).mean
        alpha = feathered(region, region.new_full((len(region),), self.feather))
        return alpha, Affine(rows, centre, centre)

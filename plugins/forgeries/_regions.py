"""Where faces and their parts are: regions, their moments, and one face laid over another by these."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import Batch, DataError
from magdr_core.functional import FACE, constant, join_parts, merge_classes

LEAST_AREA = 6
"""Pixels of a picture of 64 below which a part is not there."""


class Moments(NamedTuple):
    """Mean place and covariance of a region, in pixels, x before y.

    Attributes:
        mean: `[B,2]`.
        spread: `[B,2,2]`.
    """

    mean: Tensor
    spread: Tensor


class Affine(NamedTuple):
    """`p -> matrix (p - centre) + place`, in pixels, x before y.

    Attributes:
        matrix: `[B,2,2]`.
        centre, place: `[B,2]`.
    """

    matrix: Tensor
    centre: Tensor
    place: Tensor

    def inverse(self) -> Affine:
        return Affine(inverse2(self.matrix), self.place, self.centre)


def parts_of(batch: Batch) -> Tensor:
    """Soft masks of the parts, `[B,12,H,W]`.

    Raises:
        DataError: nobody knows the face masks of these pictures.
    """
    if batch.masks is not None:
        return merge_classes(batch.masks)
    if "parts" not in batch.annotations:
        raise DataError(
            "forgeries are made by face masks, and the dataset has none: add a [parser.NAME] that finds them"
        )
    return batch.annotations["parts"]


def or_face(region: Tensor, parts: Tensor) -> Tensor:
    """A region `[B,1,H,W]`; the face where a picture has next to nothing of it, and the picture where it
    shows no face: hair of the bald, say.

    Args:
        parts: `[B,12,H,W]`.
    """
    least = LEAST_AREA * (parts.shape[-1] / 64) ** 2
    for other in (join_parts(parts, FACE), torch.ones_like(region)):
        area = region.sum(-1, keepdim=True).sum(-2, keepdim=True)
        region = torch.where(area < least, other, region)
    return region


def widened(region: Tensor, pixels: int) -> Tensor:
    """A region `[B,1,H,W]` that reaches so many pixels further."""
    return F.max_pool2d(region, 2 * pixels + 1, 1, pixels) if pixels else region


def pixel_grid(x: Tensor) -> Tensor:
    """The places of the pixels of `[B,C,H,W]`, `[H,W,2]`, x before y."""
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    columns = torch.arange(width, device=x.device, dtype=x.dtype)[None].expand(height, width)
    return torch.stack([columns, rows], -1)


def moments(region: Tensor) -> Moments:
    """Of a soft region `[B,1,H,W]`; an empty one lies in the picture's middle, a pixel wide.

    The spread is kept above half a pixel each way, so that it can be inverted.
    """
    grid = pixel_grid(region)
    weight = region[:, 0]
    total = weight.sum(-1).sum(-1)
    some = total > 1e-3

    def mean_of(values: Tensor) -> Tensor:
        return (weight * values).sum(-1).sum(-1) / total.clamp_min(1e-3)

    middle = grid[-1, -1] / 2
    mean = torch.stack([mean_of(grid[..., 0]), mean_of(grid[..., 1])], 1)
    mean = torch.where(some[:, None], mean, middle)
    dx, dy = (grid[..., k] - mean[:, k, None, None] for k in (0, 1))
    xx, xy, yy = mean_of(dx * dx), mean_of(dx * dy), mean_of(dy * dy)
    spread = torch.stack([torch.stack([xx + 0.25, xy], 1), torch.stack([xy, yy + 0.25], 1)], 1)
    return Moments(mean, spread)


def root2(m: Tensor) -> Tensor:
    """The symmetric square root of positive matrices `[B,2,2]`, by Cayley and Hamilton."""
    determinant = (m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]).clamp_min(0).sqrt()
    trace = (m[:, 0, 0] + m[:, 1, 1] + 2 * determinant).sqrt()
    return (m + determinant[:, None, None] * torch.eye(2, device=m.device)) / trace[:, None, None]


def inverse2(m: Tensor) -> Tensor:
    """The inverse of matrices `[B,2,2]`, the same bits in any batch."""
    a, b, c, d = m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
    rows = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1)
    return rows / (a * d - b * c)[:, None, None]


def times2(a: Tensor, b: Tensor) -> Tensor:
    """Products of matrices `[B,2,2]` by hand: the same bits in any batch."""
    return (a[:, :, :, None] * b[:, None, :, :]).sum(2)


def aligning(target: Moments, donor: Moments) -> Affine:
    """From places in the target to those in the donor: means on means, spreads on spreads.

    The symmetric solution, which turns no face about.
    """
    matrix = times2(root2(donor.spread), inverse2(root2(target.spread)))
    return Affine(matrix, target.mean, donor.mean)


def sampled(x: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples of `[B,C,H,W]` at `[B,H',W',2]` pixels, x before y; beyond the border its pixels."""
    size = constant([x.shape[-1] - 1.0, x.shape[-2] - 1.0], x.device, x.dtype)
    return F.grid_sample(x, 2 * places / size - 1, mode="bilinear", padding_mode="border", align_corners=True)


def moved(x: Tensor, by: Affine) -> Tensor:
    """`[B,C,H,W]` where each pixel shows what an affine map of its place shows."""
    offset = pixel_grid(x) - by.centre[:, None, None]
    places = (by.matrix[:, None, None] * offset[..., None, :]).sum(-1) + by.place[:, None, None]
    return sampled(x, places)

"""Keypoints with Jacobians, and the motions that two sets of them stand for (Siarohin et al., NeurIPS 2019).

A keypoint is six numbers: column and row in [-1,1], from the centre of the first pixel to that of the last,
then its Jacobian, row by row; or the first two alone. All arithmetic is element by element, since products of
matrices would round otherwise in another batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

VARIANCE = 0.01
"""Of the Gaussian around a keypoint, in the square of its units."""

SINGULAR = 1e-6
"""A smaller determinant counts as one of this size: published code breaks off where it is 0."""


def axis(count: int, like: Tensor) -> Tensor:
    """Places of so many pixels, from -1 to 1."""
    return torch.linspace(-1, 1, count, device=like.device, dtype=like.dtype)


def centres(heat: Tensor) -> Tensor:
    """Heat maps `[B,K,h,w]` that sum to 1 -> their means, `[B,K,2]`."""
    columns = (heat.sum(2) * axis(heat.shape[3], heat)).sum(-1)
    rows = (heat.sum(3) * axis(heat.shape[2], heat)).sum(-1)
    return torch.stack([columns, rows], -1)


def gaussians(points: Tensor, size: tuple[int, int]) -> Tensor:
    """`[B,K,2 or more]` -> `[B,K,h,w]`, 1 at the keypoint."""
    rows = (axis(size[0], points) - points[:, :, 1:2]).square()
    columns = (axis(size[1], points) - points[:, :, 0:1]).square()
    return torch.exp((rows[..., None] + columns[:, :, None]) / (-2 * VARIANCE))


def product(a: Tensor, b: Tensor) -> Tensor:
    """Of 2x2 matrices as rows of four numbers, `[...,4]`."""
    a11, a12, a21, a22 = a.unbind(-1)
    b11, b12, b21, b22 = b.unbind(-1)
    entries = (a11 * b11 + a12 * b21, a11 * b12 + a12 * b22, a21 * b11 + a22 * b21, a21 * b12 + a22 * b22)
    return torch.stack(entries, -1)


def inverse(a: Tensor) -> Tensor:
    """Likewise; finite for all finite matrices."""
    a11, a12, a21, a22 = a.unbind(-1)
    determinant = a11 * a22 - a12 * a21
    sign = torch.where(determinant < 0, -1.0, 1.0)
    determinant = torch.where(determinant.abs() < SINGULAR, SINGULAR * sign, determinant)
    return torch.stack([a22, -a12, -a21, a11], -1) / determinant[..., None]


def movement(first: Tensor, then: Tensor) -> Tensor:
    """How keypoints `[B,K,6]` have moved: by how much, and by which matrix the Jacobians were multiplied."""
    moved = then[..., :2] - first[..., :2]
    if first.shape[-1] == 2:
        return moved
    return torch.cat([moved, product(then[..., 2:], inverse(first[..., 2:]))], -1)


def moved(points: Tensor, by: Tensor) -> Tensor:
    """Keypoints after a :func:`movement`, `[B,K,6]`."""
    place = points[..., :2] + by[..., :2]
    if points.shape[-1] == 2:
        return place
    return torch.cat([place, product(by[..., 2:], points[..., 2:])], -1)


def local_motions(driving: Tensor, source: Tensor, size: tuple[int, int]) -> Tensor:
    """Where each place of the output comes from, if all moves with one keypoint: to first order around it.

    Args:
        driving, source: `[B,K,6]` or `[B,K,2]`, where the keypoints shall be and where they are.
        size: height and width of the maps.

    Returns:
        `[B,K+1,2,h,w]`, column and row in [-1,1]; the first is the background's, which stays.
    """
    rows, columns = axis(size[0], source)[:, None], axis(size[1], source)
    still = torch.stack([columns.expand(size), rows.expand(size)])
    across = columns - driving[:, :, 0, None, None]
    down = rows - driving[:, :, 1, None, None]
    if source.shape[-1] > 2:
        a11, a12, a21, a22 = product(source[..., 2:], inverse(driving[..., 2:]))[..., None, None].unbind(2)
        across, down = a11 * across + a12 * down, a21 * across + a22 * down
    across = (across + source[:, :, 0, None, None]).expand(-1, -1, *size)
    down = (down + source[:, :, 1, None, None]).expand(-1, -1, *size)
    moving = torch.stack([across, down], 2)
    return torch.cat([still.expand(len(source), 1, -1, -1, -1), moving], 1)

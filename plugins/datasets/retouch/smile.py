"""A smile by warping: the corners of the mouth go out and up, the lower lip down, the cheeks up."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from . import mesh
from .shapes import places

STILL = 0.1
"""Pixels: what moves less stays, to the last bit."""

END = 0.06
"""Share of a bump's height below which it is 0: a Gaussian has no end."""

WIDER, LIFT, LOWER, CHEEKS = 0.18, 0.20, 0.10, 0.12
"""How far corners go out and up, the lower lip down and the cheeks up, in widths of the mouth."""


def smiling(x: Tensor, points: Tensor) -> Tensor:
    """Pictures with a smile, `[B,3,S,S]` in [0,1] -> same; bicubic where something moves.

    Args:
        points: `[B,468,2]` in pixels.
    """
    size = x.shape[-1]
    flow = _flow(points, size)
    at = places(size, points) - flow  # where the content of a pixel comes from
    warped = F.grid_sample(
        x, 2 * at / size - 1, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    moved = flow.abs().amax(-1)[:, None] > STILL
    return torch.where(moved, warped.clamp(0, 1), x)


def _flow(points: Tensor, size: int) -> Tensor:
    """How far the content at each place is moved, `[B,S,S,2]` in pixels: a sum of Gaussian bumps."""
    left, right = points[:, mesh.LEFT_CORNER], points[:, mesh.RIGHT_CORNER]
    width, u, v = mesh.axes(left, right)
    bumps = (
        (left, -WIDER * u - LIFT * v, 0.30),
        (right, WIDER * u - LIFT * v, 0.30),
        (points[:, mesh.LOWER_LIP_MIDDLE], LOWER * v, 0.28),
        (points[:, mesh.LEFT_CHEEK], -CHEEKS * v, 0.35),
        (points[:, mesh.RIGHT_CHEEK], -CHEEKS * v, 0.35),
    )
    at = places(size, points)
    flow = torch.zeros(len(points), size, size, 2, dtype=points.dtype, device=points.device)
    for centre, move, sigma in bumps:
        off = (at - centre[:, None, None]).square().sum(-1)
        share = torch.exp(-off / (2 * (sigma * width[:, :, None]).square()))
        flow = flow + ((share - END) / (1 - END)).clamp_min(0)[..., None] * (move * width)[:, None, None]
    return flow

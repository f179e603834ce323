"""Soft-edged shapes in pixels: polygons, strokes and ellipses for a batch of faces."""

from __future__ import annotations

import torch
from torch import Tensor


def places(size: int, like: Tensor) -> Tensor:
    """The middles of all pixels, `[1,size,size,2]` (x, y)."""
    at = torch.arange(size, dtype=like.dtype, device=like.device) + 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x, y], -1)[None]


def inside(distance: Tensor, edge: float = 1.0) -> Tensor:
    """Coverage of pixels by their signed distance to an outline, `[B,H,W] -> [B,1,H,W]`; negative is inside.

    Args:
        edge: over how many pixels it falls from 1 to 0.
    """
    return (0.5 - distance / edge).clamp(0, 1)[:, None]


def to_segment(at: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance of places `[1,H,W,2]` to line segments from `[B,2]` to `[B,2]`: `[B,H,W]` in pixels."""
    along = (end - start)[:, None, None]
    off = at - start[:, None, None]
    share = (off * along).sum(-1) / along.square().sum(-1).clamp_min(1e-9)
    return (off - along * share.clamp(0, 1)[..., None]).norm(dim=-1)


def to_polygon(at: Tensor, corners: Tensor) -> Tensor:
    """Signed distance of places `[1,H,W,2]` to the outline of closed polygons `[B,K,2]`: `[B,H,W]` in pixels,
    negative inside (even-odd)."""
    x, y = at[..., 0], at[..., 1]
    distance = torch.full((len(corners), *x.shape[1:]), torch.inf, device=at.device, dtype=at.dtype)
    outside = torch.ones_like(distance, dtype=torch.bool)
    before = corners.roll(1, 1)
    for k in range(corners.shape[1]):
        (ax, ay), (bx, by) = (p[:, k, :, None, None].unbind(1) for p in (before, corners))
        dx, dy = bx - ax, by - ay
        px, py = x - ax, y - ay
        share = ((px * dx + py * dy) / (dx * dx + dy * dy).clamp_min(1e-9)).clamp(0, 1)
        distance = torch.minimum(distance, (px - dx * share).square() + (py - dy * share).square())
        crossed = ((ay > y) != (by > y)) & ((px * dy < py * dx) == (dy > 0))
        outside = outside ^ crossed
    return torch.where(outside, 1.0, -1.0) * distance.sqrt()


def polygon(corners: Tensor, size: int, edge: float = 1.0) -> Tensor:
    """Coverage by closed polygons, `[B,K,2]` in pixels -> `[B,1,size,size]` in [0,1]."""
    return inside(to_polygon(places(size, corners), corners), edge)

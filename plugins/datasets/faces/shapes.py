"""Soft shapes and fields on a pixel grid: the vocabulary that all parts of the picture are drawn with.

All functions are elementwise over `[B,H,W]` fields and per-face values `[B,1,1]`. Distances are in the
unit of the coordinates, negative inside; `px` is the size of a pixel in that unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional import constant


def tint(levels: Sequence[float], like: Tensor) -> Tensor:
    """Red, green and blue as `[3]`, for arithmetic with `like`."""
    return constant(levels, like.device, like.dtype)


def at(values: Tensor) -> Tensor:
    """Per-face values `[B]` ready to meet a field: `[B,1,1]`."""
    return values[:, None, None]


def columns(values: Tensor) -> list[Tensor]:
    """`[B,k]` as k values `[B,1,1]`."""
    return [at(c) for c in values.unbind(1)]


def cover(distance: Tensor, px: Tensor) -> Tensor:
    """Share of a pixel inside a shape whose edge passes at `distance`: the exact box filter of a line."""
    return (0.5 - distance / px).clamp(0.0, 1.0)


def stroke(distance: Tensor, half_width: Tensor | float, px: Tensor) -> Tensor:
    """Share of a pixel covered by a line of the given half width (right for lines thinner than it, too)."""
    return cover(distance - half_width, px) - cover(distance + half_width, px)


def between(y: Tensor, low: Tensor, high: Tensor, px: Tensor) -> Tensor:
    """Share of a pixel between two curves `low` and `high`; nothing where they meet or cross."""
    return (cover(low - y, px) + cover(y - high, px) - 1.0).clamp(min=0.0)


def ramp(values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Smooth step: 0 below `low`, 1 above `high` (also falling, with low > high)."""
    t = ((values - low) / (high - low)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def spot(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """A bell around (0, 0): 1 there, 0.33 on the ellipse with the given radii, 0 from 2.4 times them on.

    (1 - q/6)^6 stands in for exp(-q): an edit then reaches exactly as far as its bell, and there are no
    denormal tails, which slow a CPU down tenfold.
    """
    x, y = x / rx, y / ry
    t = (1.0 - (x * x + y * y) * (1.0 / 6.0)).clamp(min=0.0)
    t = t * t
    return t * t * t


def bell(x: Tensor, radius: Tensor | float) -> Tensor:
    """:func:`spot` in one dimension."""
    x = x / radius
    t = (1.0 - x * x * (1.0 / 6.0)).clamp(min=0.0)
    t = t * t
    return t * t * t


def ellipse(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """Distance to an ellipse, first order."""
    x, y = x / rx, y / ry
    k = torch.sqrt(x * x + y * y + 1e-6)
    gx, gy = x / rx, y / ry
    return (k - 1.0) * k / torch.sqrt(gx * gx + gy * gy + 1e-6)


def squircle(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float, square: Tensor | float) -> Tensor:
    """Distance to an ellipse that turns into a rectangle as `square` goes to 1, first order."""
    x, y = x / rx, y / ry
    xx, yy = x * x, y * y
    # Beyond the corners the level curves are not those of the shape any more.
    gx, gy = x * (1.0 - square * yy.clamp(max=1.0)) / rx, y * (1.0 - square * xx.clamp(max=1.0)) / ry
    f = xx + yy - square * (xx * yy).clamp(max=1.0) - 1.0
    return 0.5 * f / torch.sqrt(gx * gx + gy * gy + 1e-4)


def box(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """Signed quantity of an axis-aligned box (exact along its sides)."""
    return torch.maximum(x.abs() - rx, y.abs() - ry)


def soft_min(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Union of two distances with a fillet of the given width (polynomial, so it stays cheap)."""
    h = (width - (a - b).abs()).clamp(min=0.0)
    return torch.minimum(a, b) - h * h * (0.25 / width)


def soft_max(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Intersection of two distances with a rounded corner."""
    return -soft_min(-a, -b, width)


def texture(noise: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Look up `[B,C,n,n]` noise at coordinates in [-1,1] (mirrored beyond): `[B,C,H,W]`."""
    grid = torch.stack([x, y], -1)
    return F.grid_sample(noise, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def linear(colour: Tensor) -> Tensor:
    """Display colours to amounts of light (the square stands in for the sRGB curve)."""
    return colour * colour


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """`a` where share is 0, `b` where it is 1 (spelled out: lerp rounds differently in vector tails)."""
    return a + (b - a) * share


def paint(field: Tensor, colour: Tensor, share: Tensor) -> Tensor:
    """Lay a linear colour `[B,3]` or picture `[B,3,H,W]` over a picture with the share `[B,H,W]`."""
    if colour.dim() == 2:
        colour = colour[:, :, None, None]
    return field + (colour - field) * share[:, None]


def sensor_noise(key: Tensor, size: int) -> Tensor:
    """White noise `[B,3,size,size]` with zero mean and unit variance, a pure function of `key` `[B]`."""
    index = torch.arange(size * size, device=key.device)
    h = (index * 0x9E3779B9 + key[:, None]) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    h = h ^ (h >> 16)
    # Ten bits for each channel; a uniform variable of unit variance spans 2 * sqrt(3).
    parts = [(h >> shift & 1023).to(torch.float32) for shift in (0, 10, 20)]
    noise = (torch.stack(parts, 1) - 511.5) * (2.0 * 3.0**0.5 / 1024.0)
    return noise.reshape(-1, 3, size, size)

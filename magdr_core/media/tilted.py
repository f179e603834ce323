"""Cutting out squares that are turned against the picture, and putting them back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.media.tiles import interpolated, strips, unit

LARGEST = 1024
"""Pixels a side of a turned patch; a larger square is made smaller first."""


class TiltedSquare(Protocol):
    """A square by its centre (row, column), side in pixels, and the degrees that it is turned
    counter-clockwise."""

    @property
    def centre(self) -> tuple[float, float]: ...

    @property
    def side(self) -> int: ...

    @property
    def angle(self) -> float: ...


def turned(
    image: Tensor,
    centre: tuple[float, float],
    size: tuple[int, int],
    angle: float,
    beyond: Literal["border", "zeros"] = "border",
) -> Tensor:
    """A rectangle of a picture that is turned counter-clockwise, upright: `[C,H,W] -> [C,*size]`.

    Args:
        image: floating point.
        centre: (row, column) of the rectangle's, from the picture's upper left corner.
        size: (height, width) of the result.
        angle: degrees.
        beyond: what is there outside the picture: its last pixels, or nothing.
    """
    height, width = size
    down = torch.arange(height, dtype=torch.float64) + 0.5 - height / 2
    right = torch.arange(width, dtype=torch.float64) + 0.5 - width / 2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rows = centre[0] + down[:, None] * cos - right[None] * sin
    columns = centre[1] + down[:, None] * sin + right[None] * cos
    at = torch.stack([2 * columns / image.shape[2] - 1, 2 * rows / image.shape[1] - 1], -1)
    return F.grid_sample(
        image[None], at[None].to(image), mode="bilinear", padding_mode=beyond, align_corners=False
    )[0]


def patch_of(image: Tensor, square: TiltedSquare) -> Tensor:
    """The square upright, `[3,side,side]` in [0,1], of at most `LARGEST` pixels a side.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
    """
    (top, left), piece = _around(image, square)
    row, column = square.centre
    side = min(square.side, LARGEST)
    share = side / square.side
    if share < 1:
        size = tuple(max(1, round(length * share)) for length in piece.shape[1:])
        piece = interpolated(piece, (size[0], size[1]), "bilinear")
    return turned(unit(piece), ((row - top) * share, (column - left) * share), (side, side), square.angle)


def pixels_of(
    image: Tensor, square: TiltedSquare, soft: float
) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """The pixels of a picture that lie in the square, some rows at a time.

    Args:
        image: `[3,H,W]`.
        soft: width of the soft edge, per side of the square.

    Yields:
        (rows, columns, where each of them lies in the square, `[h,w,2]` as `grid_sample` takes it, and its
        weight `[h,w]`: 1 inside, falling smoothly to 0 at the border, 0 outside).
    """
    rows, columns = _bounds(image, square)
    row, column = square.centre
    cos, sin = math.cos(math.radians(square.angle)), math.sin(math.radians(square.angle))
    across = torch.arange(columns.start, columns.stop, dtype=torch.float64) + 0.5 - column
    for part in strips(rows.stop - rows.start, columns.stop - columns.start):
        here = slice(rows.start + part.start, rows.start + part.stop)
        along = torch.arange(here.start, here.stop, dtype=torch.float64)[:, None] + 0.5 - row
        right, down = across * cos - along * sin, across * sin + along * cos
        inside = square.side / 2 - torch.maximum(right.abs(), down.abs())
        weight = 0.5 - 0.5 * torch.cos(torch.pi * (inside / max(1.0, soft * square.side)).clamp(0, 1))
        at = torch.stack([right, down], -1) * (2 / square.side)
        yield here, columns, at.to(image.device, torch.float32), weight.to(image.device, torch.float32)


def sampled(layer: Tensor, at: Tensor) -> Tensor:
    """An upright layer `[C,s,s]` at places `[h,w,2]` of the square: `[C,h,w]`."""
    return F.grid_sample(
        layer[None], at[None].to(layer), mode="bilinear", padding_mode="border", align_corners=False
    )[0]


def _bounds(image: Tensor, square: TiltedSquare) -> tuple[slice, slice]:
    """Rows and columns of the picture that the square reaches."""
    row, column = square.centre
    angle = math.radians(square.angle)
    reach = square.side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle))) + 1
    height, width = image.shape[1:]
    return (
        slice(max(0, math.floor(row - reach)), max(1, min(height, math.ceil(row + reach)))),
        slice(max(0, math.floor(column - reach)), max(1, min(width, math.ceil(column + reach)))),
    )


def _around(image: Tensor, square: TiltedSquare) -> tuple[tuple[int, int], Tensor]:
    rows, columns = _bounds(image, square)
    return (rows.start, columns.start), image[:, rows, columns]

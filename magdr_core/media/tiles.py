"""Large pictures a piece at a time.

A picture is held as the 8-bit levels that it is. In floating point it takes four times as much, and every
step of a computation as much again: 64 megapixels would need gigabytes. So what is computed of a whole
picture is computed in pieces; each gives the same bits as all of it at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 2**18
"""Pixels of one channel of a piece."""


def in_unit(levels: Tensor) -> Tensor:
    """uint8 of any shape -> float32 in [0,1], held once."""
    return levels.float().div_(255)


def unit(image: Tensor) -> Tensor:
    """An image `[3,H,W]` in [0,1], be it given so or as uint8 levels."""
    return in_unit(image) if image.dtype == torch.uint8 else image


def like(x: Tensor, image: Tensor) -> Tensor:
    """8-bit values in [0,1], any shape, as uint8 levels if that is how `image` is held."""
    return (x * 255).round_().byte() if image.dtype == torch.uint8 else x


def strips(length: int, width: int) -> Iterator[slice]:
    """`length` rows of `width` pixels (or columns of that height) in pieces."""
    each = max(64, PIECE // max(1, width) // 64 * 64)
    for first in range(0, length, each):
        yield slice(first, min(first + each, length))


def interpolated(image: Tensor, size: tuple[int, int], mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """Resample with antialiasing, as `torch.nn.functional.interpolate` does; bicubic may overshoot.

    Args:
        image: `[C,H,W]` in [0,1] or uint8.

    Returns:
        `[C,*size]` floating point.
    """
    _, height, width = image.shape

    def sized(x: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(x[None], size, mode=mode, align_corners=False, antialias=True)[0]

    if height * width <= PIECE:
        return sized(unit(image), size)
    # The filter is separable and goes along the rows first, each of which is its own affair.
    across = torch.empty((len(image), height, size[1]), dtype=unit(image[:, :0]).dtype, device=image.device)
    for rows in strips(height, width):
        across[:, rows] = sized(unit(image[:, rows]), (rows.stop - rows.start, size[1]))
    return sized(across, size)


def enlarged(x: Tensor, side: int) -> Iterator[tuple[slice, Tensor]]:
    """A small channel at another size, in pieces of whole columns: `[s,s]` -> (columns, `[side,columns]`).

    Bicubic with antialiasing, of signed values; as it is where the size is the same.
    """
    if len(x) == side:
        yield slice(0, side), x
        return

    def sized(x: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(x[None, None], size, mode="bicubic", align_corners=False, antialias=True)[0, 0]

    if side * side <= PIECE:
        yield slice(0, side), sized(x, (side, side))
        return
    across = sized(x, (len(x), side))
    for columns in strips(side, side):
        piece = across[:, columns].contiguous()
        yield columns, sized(piece, (side, piece.shape[1]))

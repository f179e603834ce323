"""Small rotations and zooms about the image's centre; what comes in is a mirror image of the edge."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional._common import check_images, check_positive, clamp_fuzz


def _mirror(index: Tensor, size: int) -> Tensor:
    """Indices of an image continued by mirroring (`c b a | a b c | c b a`)."""
    index = index.remainder(2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _sample(x: Tensor, matrix: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
    """Bilinear samples of x at `matrix @ (row, column)`, measured from the image's centre.

    The places are the same for all images of a batch, so they are worked out once, in double: four gathers
    replace `grid_sample`, whose float32 coordinates are off by a thousandth of a level on large images.
    """
    height, width = x.shape[-2:]
    row = torch.arange(height, device=x.device, dtype=torch.float64)[:, None] - (height - 1) / 2
    column = torch.arange(width, device=x.device, dtype=torch.float64)[None] - (width - 1) / 2
    source_row = matrix[0][0] * row + matrix[0][1] * column + (height - 1) / 2
    source_column = matrix[1][0] * row + matrix[1][1] * column + (width - 1) / 2
    top, left = source_row.floor(), source_column.floor()
    down, right = (source_row - top).to(x.dtype), (source_column - left).to(x.dtype)
    first_row, first_column = top.long(), left.long()
    flat = x.flatten(-2)

    def tap(dy: int, dx: int) -> Tensor:
        place = _mirror(first_row + dy, height) * width + _mirror(first_column + dx, width)
        return flat.index_select(-1, place.flatten()).reshape(x.shape)

    upper = tap(0, 0) * (1 - right) + tap(0, 1) * right
    lower = tap(1, 0) * (1 - right) + tap(1, 1) * right
    return clamp_fuzz(upper * (1 - down) + lower * down)


def rotate(x: Tensor, degrees: float) -> Tensor:
    """Turn the image counter-clockwise about its centre, bilinearly, borders mirrored.

    Args:
        x: `[B,C,H,W]` in [0,1].
        degrees: any; `rotate(rotate(x, d), -d)` is `x` slightly blurred, but for corners that left the frame.

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or an angle that is not finite.
    """
    check_images(x)
    if not math.isfinite(degrees):
        raise ValueError(f"degrees must be finite, got {degrees}")
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _sample(x, ((cosine, sine), (-sine, cosine)))


def zoom(x: Tensor, factor: float) -> Tensor:
    """Magnify the image about its centre, bilinearly, within its frame; below 1 mirrored borders come in.

    Args:
        x: `[B,C,H,W]` in [0,1].
        factor: > 0, near 1 (nothing is done against aliasing); `zoom(zoom(x, f), 1 / f)` is `x` slightly
            blurred, but for the border that left the frame where f > 1.

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or a factor that is not positive.
    """
    check_images(x)
    check_positive(factor, "factor")
    return _sample(x, ((1 / factor, 0.0), (0.0, 1 / factor)))

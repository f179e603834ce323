"""Changes of size and place: resize, down and up again, flip, shift."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import check_images, symmetric_pad
from magdr_core.functional.eightbit import clamp_inclusive

Mode = Literal["nearest", "bilinear", "bicubic", "area"]


def _target_size(x: Tensor, size: int | tuple[int, int] | None, scale: float | None) -> tuple[int, int]:
    if (size is None) == (scale is None):
        raise ValueError("give either size or scale, not both and not neither")
    if scale is not None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be positive and finite, got {scale}")
        return max(1, round(x.shape[-2] * scale)), max(1, round(x.shape[-1] * scale))
    height, width = (size, size) if isinstance(size, int) else (size or (0, 0))
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1x1, got {height}x{width}")
    return height, width


def resize(
    x: Tensor,
    size: int | tuple[int, int] | None = None,
    *,
    scale: float | None = None,
    mode: Mode = "bicubic",
) -> Tensor:
    """Resize, with antialiasing where it shrinks (as Pillow does). Differentiable.

    Args:
        x: `[B,C,H,W]` in [0,1].
        size: the new (height, width), or one number for both; or
        scale: the factor for both sides (rounded to whole pixels).
        mode: `"nearest"`, `"bilinear"`, `"bicubic"` or `"area"`.

    Returns:
        `[B,C,height,width]`, clamped to [0,1] (bicubic overshoots).

    Raises:
        ValueError: wrong shape, size, scale or mode; or both or neither of size and scale.
    """
    check_images(x)
    target = _target_size(x, size, scale)
    if mode not in ("nearest", "bilinear", "bicubic", "area"):
        raise ValueError(f"mode must be nearest, bilinear, bicubic or area, got {mode!r}")
    if mode in ("bilinear", "bicubic"):
        out = F.interpolate(x, target, mode=mode, align_corners=False, antialias=True)
    else:
        # "nearest-exact" takes the pixel under the centre; torch's "nearest" is off by half a pixel.
        out = F.interpolate(x, target, mode="nearest-exact" if mode == "nearest" else mode)
    return clamp_inclusive(out)


def down_up(x: Tensor, scale: float, *, mode: Mode = "bicubic") -> Tensor:
    """Resize by `scale` and back to the size it had, `[B,C,H,W] -> [B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: as :func:`resize`.
    """
    small = resize(x, scale=scale, mode=mode)
    return resize(small, (x.shape[-2], x.shape[-1]), mode=mode)


def flip(x: Tensor) -> Tensor:
    """Mirror left and right, `[B,C,H,W] -> [B,C,H,W]`; its own inverse."""
    check_images(x)
    return x.flip(-1)


def shift(x: Tensor, dx: int, dy: int) -> Tensor:
    """Move the image dx pixels to the right and dy down; what comes in is a mirror image of the edge.

    Args:
        x: `[B,C,H,W]`.
        dx, dy: whole pixels, either sign. `shift(shift(x, dx, dy), -dx, -dy)` is `x` but for the border
            that was pushed out.

    Returns:
        `[B,C,H,W]`. Differentiable.

    Raises:
        ValueError: wrong shape, or fractions of a pixel.
    """
    check_images(x)
    if dx != int(dx) or dy != int(dy):
        raise ValueError(f"dx and dy must be whole pixels, got {dx} and {dy}")
    height, width = x.shape[-2:]
    padded = symmetric_pad(x, max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0))
    top, left = max(-dy, 0), max(-dx, 0)
    return padded[..., top : top + height, left : left + width]

"""Pictures of any size as face recognition takes them."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from magdr_core.functional import resize

Resizing = Literal["nearest", "bilinear", "area"]


def framed(x: Tensor, side: int, crop: float, mode: Resizing) -> Tensor:
    """The middle of pictures, as squares: `[B,3,H,W]` in [0,1] -> `[B,3,side,side]`.

    Args:
        crop: the share of each side that is kept.
        mode: `nearest` leaves out pixels where it shrinks, and their gradient; `bilinear` has antialiasing.
    """
    height, width = (max(1, round(crop * n)) for n in x.shape[2:])
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    cut = x[:, :, top : top + height, left : left + width]
    if cut.shape[2:] == (side, side) or not len(cut):
        return cut if len(cut) else x.new_zeros(0, 3, side, side)
    if mode == "nearest":
        return F.interpolate(cut, (side, side), mode="nearest")
    return resize(cut, (side, side), mode=mode)


def directions(y: Tensor) -> Tensor:
    """Rows `[B,D]` brought to length 1."""
    return F.normalize(y)

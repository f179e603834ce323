"""Layers of small networks whose outputs do not depend on the rest of the batch."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

Norm = Literal["group", "instance"]


def halved(y: Tensor) -> Tensor:
    """The mean of each 2x2 square, `[B,C,H,W]` -> `[B,C,H//2,W//2]`: as `avg_pool2d` has it, of which a
    pass forward and back costs a multiple on a processor."""
    y = y[..., : y.shape[2] // 2 * 2, : y.shape[3] // 2 * 2]
    rows = y[..., ::2, :] + y[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def norm_of(channels: int, norm: Norm = "group") -> nn.GroupNorm:
    return nn.GroupNorm(channels if norm == "instance" else math.gcd(8, channels), channels)


def layer(inp: int, out: int, norm: Norm = "group") -> nn.Sequential:
    """A 3x3 convolution, norm and SiLU."""
    return nn.Sequential(
        nn.Conv2d(inp, out, 3, padding=1, bias=False), norm_of(out, norm), nn.SiLU(inplace=True)
    )

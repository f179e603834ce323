"""The small network that says how much each pixel of a picture is blurred."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _layer(inp: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inp, out, kernel, stride, kernel // 2, padding_mode="reflect"),
        nn.InstanceNorm2d(out, affine=True),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_layer(width, width, 3), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, y: Tensor) -> Tensor:
        return y + self.main(y)


class BlurGenerator(nn.Module):
    """A residual network without a last activation: `[B,3,H,W]` in [0,1] -> `[B,1,H,W]`.

    Two strided layers, residual blocks, two enlargements and 7x7 layers at both ends, as the published one;
    with instance norms, so that a picture's blur does not depend on its batch.

    Args:
        width: channels of the first layer (64 published).
        blocks: residual blocks (3 published).
        start: what it gives before it has learned anything, nearly everywhere.
    """

    def __init__(self, *, width: int = 8, blocks: int = 2, start: float = 0.0) -> None:
        super().__init__()
        self.down = nn.Sequential(
            _layer(3, width, 7), _layer(width, 2 * width, 3, 2), _layer(2 * width, 4 * width, 3, 2)
        )
        self.blocks = nn.Sequential(*(_Residual(4 * width) for _ in range(blocks)))
        self.up = nn.ModuleList([_layer(4 * width, 2 * width, 3), _layer(2 * width, width, 3)])
        self.head = nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect")
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, start)
        if start:
            with torch.no_grad():
                self.head.weight *= 0.1

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs; their squares are precisions."""
        y = self.blocks(self.down(2 * x - 1))
        for layer in self.up:
            y = layer(F.interpolate(y, scale_factor=2.0, mode="nearest"))
        return self.head(y[..., : x.shape[2], : x.shape[3]])

"""A network that recovers what is masked of a picture, and says how far off it may be."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import halved, layer

LOG_VARIANCE = (-12.0, 2.0)
"""Between which the logarithm of the expected squared error is kept."""


class RecoveryUNet(nn.Module):
    """A four-level U-Net from a picture with a hole to the picture, and to the error that it expects.

    Args:
        width: channels of the first level.
    """

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(
            nn.Sequential(layer(i, o), layer(o, o)) for i, o in zip([4, *widths[:-1]], widths, strict=True)
        )
        levels = range(len(widths) - 2, -1, -1)
        # Narrowed before it is enlarged: most of the cost is at full size.
        self.narrow = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in levels)
        self.up = nn.ModuleList(
            nn.Sequential(layer(2 * widths[i], widths[i]), layer(widths[i], widths[i])) for i in levels
        )
        self.head = nn.Conv2d(width, 3, 3, padding=1)
        self.spread = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the masked pixels may have been.

        Args:
            x: `[B,3,H,W]` in [0,1]; its masked pixels are not looked at.
            mask: `[B,1,H,W]` of 0/1.

        Returns:
            the recovered picture `[B,3,H,W]`, not clamped, and the logarithm of the expected squared error,
            `[B,1,H,W]`.
        """
        height, width = x.shape[2:]
        seen = torch.cat([(2 * x - 1) * (1 - mask), mask], 1)
        y = F.pad(seen, (0, -width % 8, 0, -height % 8), mode="replicate")
        kept = []
        for i, block in enumerate(self.down):
            y = block(halved(y) if i else y)
            kept.append(y)
        y = kept.pop()
        for narrow, block in zip(self.narrow, self.up, strict=True):
            skip = kept.pop()
            y = F.interpolate(narrow(y), size=skip.shape[2:], mode="bilinear", align_corners=False)
            y = block(torch.cat([y, skip], 1))
        # What is recovered shall not be what is easily foretold: the spread only watches.
        made, spread = (y[..., :height, :width] for y in (self.head(y), self.spread(y.detach())))
        return (made + 1) / 2, spread.clamp(*LOG_VARIANCE)

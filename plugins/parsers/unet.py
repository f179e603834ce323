"""A small U-Net face parser (Ronneberger et al., MICCAI 2015, arXiv 1505.04597), trained on drawn faces."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import Field, ParserSpec, Weights, hookimpl, load_state
from magdr_core.functional import PARTS

MAGDR_API = 1


def _block(inp: int, out: int) -> nn.Sequential:
    # Group norms behave alike in training and use, so that no mode can be set wrongly.
    return nn.Sequential(
        nn.Conv2d(inp, out, 3, padding=1, bias=False),
        nn.GroupNorm(8, out),
        nn.SiLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        nn.GroupNorm(8, out),
        nn.SiLU(inplace=True),
    )


class UNetParser(nn.Module):
    """Soft masks over `PARTS`: the softmax of a four-level U-Net's logits.

    Args:
        width: channels of the first level; they double per level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(_block(i, o) for i, o in zip([3, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(
            _block(widths[i + 1] + widths[i], widths[i]) for i in reversed(range(len(widths) - 1))
        )
        self.head = nn.Conv2d(width, len(PARTS), 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """The encoder's activations, finest first."""
        y, kept = 2 * x - 1, []
        for i, block in enumerate(self.down):
            y = block(y if i == 0 else F.avg_pool2d(y, 2))
            kept.append(y)
        return kept

    def logits(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        padded = F.pad(x, (0, -w % 8, 0, -h % 8), mode="replicate")
        skips = self.features(padded)
        y = skips.pop()
        for block in self.up:
            skip = skips.pop()
            y = F.interpolate(y, size=skip.shape[2:], mode="bilinear", align_corners=False)
            y = block(torch.cat([y, skip], 1))
        return self.head(y)[:, :, :h, :w]

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).softmax(1)


def unet(
    *,
    weights: Weights = "builtin:parser-faces64",
    width: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = 16,
) -> UNetParser:
    """Face parser trained on procedural faces at 64 px: clean, attacked and noisy inputs alike.

    Args:
        weights: weight file, of this package's training.
        width: channels of the first level, as in the weight file; they double per level.
    """
    net = UNetParser(width)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_parsers() -> list[ParserSpec]:
    return [ParserSpec(name="unet", build=unet, cite="Ronneberger et al., U-Net, MICCAI 2015")]

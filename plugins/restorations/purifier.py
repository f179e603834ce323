"""A small learned purifier: a residual U-Net that takes perturbations out of an image."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, Weights, hookimpl, load_state

MAGDR_API = 1


def _block(inp: int, out: int) -> nn.Sequential:
    # No norms: the absolute colours of the image have to pass through.
    return nn.Sequential(
        nn.Conv2d(inp, out, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(out, out, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
    )


class Purifier(nn.Module):
    """`x + U(x)`, with a three-level U-Net U (Ronneberger et al., MICCAI 2015, arXiv 1505.04597).

    Args:
        width: channels of the first level; twice and three times as many on the next two.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([_block(3, width), _block(width, 2 * width), _block(2 * width, 3 * width)])
        self.up = nn.ModuleList([_block(5 * width, 2 * width), _block(3 * width, width)])
        self.head = nn.Conv2d(width, 3, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.1)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.head.weight *= 0.05  # starts near the identity, but not at it: zeros learn nothing

    def forward(self, x: Tensor) -> Tensor:
        return functional.clamp_inclusive(self.residual(x))

    def residual(self, x: Tensor) -> Tensor:
        """`x + U(x)` before clamping, so that training has a gradient everywhere."""
        h, w = x.shape[2:]
        y, skips = F.pad(2 * x - 1, (0, -w % 4, 0, -h % 4), mode="replicate"), []
        for i, block in enumerate(self.down):
            y = block(y if i == 0 else F.avg_pool2d(y, 2))
            skips.append(y)
        y = skips.pop()
        for block in self.up:
            skip = skips.pop()
            y = block(torch.cat([F.interpolate(y, scale_factor=2, mode="nearest"), skip], 1))
        return x + self.head(y)[:, :, :h, :w]


def purifier(
    *,
    weights: Weights = "builtin:purifier-faces64",
    width: Annotated[int, Field(ge=4, le=128)] = 16,
) -> Purifier:
    """A network trained to take perturbations out of a picture. `[B,3,H,W]` -> same.

    `purifier-faces64` never saw a face editor: it was trained on noise and on perturbations of the face
    parser. `purifier-editing64` was trained on Eq. 8 for the shipped editor.

    Args:
        weights: weight file of the U-Net.
        width: channels of the first level, as in the weight file; twice and three times as many on
            the next two.
    """
    net = Purifier(width)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [RestorationSpec(name="purifier", build=purifier, stage="denoise", gradient="exact")]

"""The encoder, residual blocks and decoder that StarGAN and GANimation have in common.

Layout and indices are those of the public implementations (github.com/yunjey/stargan,
github.com/albertpumarola/GANimation), so that their checkpoints load. Norms use instance statistics always,
as those implementations do in practice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from magdr_core.api import Condition, DataError, Field

Width = Annotated[int, Field(ge=4, le=256)]
"""Channels after the first convolution."""

Blocks = Annotated[int, Field(ge=1, le=16)]
"""Residual blocks."""

Size = Annotated[int, Field(ge=16, le=1024, multiple_of=4)]
"""Native side of the pictures, in pixels."""

STALE_KEYS = ("running_mean", "running_var", "num_batches_tracked")
"""Old checkpoints hold the running statistics of their instance norms; they were never used."""


def _norm(width: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(width, affine=True)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and the identity; no ReLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            _norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            _norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def backbone(conditions: int, *, width: int, blocks: int) -> list[nn.Module]:
    """The layers from the input (3 + conditions channels) to `width` channels of the same size."""
    layers: list[nn.Module] = [
        nn.Conv2d(3 + conditions, width, 7, padding=3, bias=False),
        _norm(width),
        nn.ReLU(inplace=True),
    ]
    for i in range(2):
        w = width * 2**i
        layers += [nn.Conv2d(w, 2 * w, 4, 2, 1, bias=False), _norm(2 * w), nn.ReLU(inplace=True)]
    layers += [ResidualBlock(4 * width) for _ in range(blocks)]
    for i in (2, 1):
        w = width * 2**i
        layers += [
            nn.ConvTranspose2d(w, w // 2, 4, 2, 1, bias=False),
            _norm(w // 2),
            nn.ReLU(inplace=True),
        ]
    return layers


def head(width: int, channels: int) -> nn.Conv2d:
    """The last convolution, without its activation."""
    return nn.Conv2d(width, channels, 7, padding=3, bias=False)


def made_with(state: Mapping[str, Tensor], layers: str, conditions: int, *, width: int, blocks: int) -> str:
    """What a state dict that does not fit was made with, for the message: the parameters to write.

    Args:
        layers: what its keys of :func:`backbone` begin with, such as `main.`.
        conditions, width, blocks: of the network that it does not fit.

    Returns:
        A sentence without its full stop; empty if the state has no such backbone, or the same.
    """
    first = state[f"{layers}0.weight"]
    if first.ndim != 4 or first.shape[2:] != (7, 7):
        return "It is of another network: is it the discriminator's file?"
    residual = re.compile(re.escape(layers) + r"\d+\.main\.0\.weight")
    found = {"width": first.shape[0], "blocks": sum(residual.fullmatch(key) is not None for key in state)}
    wanted = [f"{k} = {v}" for k, v in found.items() if v != {"width": width, "blocks": blocks}[k]]
    if first.shape[1] - 3 != conditions:
        wanted.append(f"{first.shape[1] - 3} conditions in place of {conditions}")
    return f"The file was made with {', '.join(wanted)}" if wanted else ""


def with_condition(x: Tensor, c: Condition, network: str) -> Tensor:
    """`[B,3+C,H,W]`: the image in [-1,1] and a constant plane per condition entry.

    Raises:
        DataError: a side that two strided convolutions would round; `network` is named.
    """
    if x.shape[2] % 4 or x.shape[3] % 4:
        raise DataError(f"{network} takes sides that are multiples of 4, got {tuple(x.shape[2:])}")
    planes = c.values[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([2 * x - 1, planes], 1)


def stages(layers: nn.Sequential, y: Tensor) -> tuple[list[Tensor], Tensor]:
    """Activations of the first two stages and of the last residual block (sides H, H/2 and H/4), and the
    result."""
    kept: list[Tensor] = []
    for layer in layers:
        y = layer(y)
        if isinstance(layer, ResidualBlock):
            kept[2:] = [y]
        elif isinstance(layer, nn.ReLU) and len(kept) < 2:
            kept.append(y)
    return kept, y

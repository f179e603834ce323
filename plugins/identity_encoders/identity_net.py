"""A small residual network that tells drawn persons apart, learned as ArcFace is (Deng et al., CVPR 2019)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import Field, IdentityEncoderSpec, Weights, hookimpl, load_state
from magdr_core.functional import by_row

from ._pictures import directions, framed

MAGDR_API = 1

SIDE = 64

GROUPS = 4
"""Of channels, in every norm; a picture is normalised by itself."""

LAST = 16
"""Channels of the last map, whose places all count."""


class Block(nn.Module):
    """Two 3x3 convolutions, the first of which may halve the side, beside a 1x1 convolution."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, after)
        self.skip = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm1(self.conv1(x)))
        return F.silu(self.norm2(self.conv2(y)) + self.skip(x))


class IdentityNet(nn.Module):
    """Faces of any size, brought to 64 px, to directions.

    Args:
        width: channels of the first stage.
        dimension: numbers of an identity.
    """

    size = SIDE

    def __init__(self, *, width: int, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.stages = nn.Sequential(
            Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2)
        )
        self.last = nn.Conv2d(4 * width, LAST, 1)
        self.fc = nn.Linear(LAST * (SIDE // 8) ** 2, dimension)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.stem(2 * framed(x, SIDE, 1.0, "bilinear") - 1))
        y = self.last(self.stages(y)).flatten(1)
        return directions(self.fc(y) if self.training else by_row(self.fc, y))


def identity_net(
    *,
    weights: Weights = "random",
    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)] = 16,
    dimension: Annotated[int, Field(ge=2, le=1024)] = 64,
) -> IdentityNet:
    """Identities of drawn persons, of faces brought to 64 px; trained to look past hair and glasses.

    Args:
        weights: weight file, of this package's training.
        width: channels of the first stage, as in the weight file.
        dimension: numbers of an identity, as in the weight file.
    """
    net = IdentityNet(width=width, dimension=dimension)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_identity_encoders() -> list[IdentityEncoderSpec]:
    cite = "the loss: Deng et al., ArcFace, CVPR 2019 (arXiv 1801.07698)"
    return [IdentityEncoderSpec(name="identity-net", build=identity_net, cite=cite)]

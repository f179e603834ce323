"""Networks whose checkpoints DeepfakeBench publishes: Xception, Meso-4 and MesoInception-4.

Names of attributes are those of the published state dicts (SCLBD/DeepfakeBench, `training/networks/`), whose
keys begin with `backbone.`; all else is written here. Architectures: Chollet, Xception, CVPR 2017 (arXiv
1610.02357); Afchar et al., MesoNet, WIFS 2018 (arXiv 1809.00888).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RowWise(nn.Linear):
    """A linear layer that gives a row the same bits in any batch, which a matrix product does not."""

    def forward(self, y: Tensor) -> Tensor:
        """`[B,I]` -> `[B,O]`."""
        total = (y[:, None] * self.weight).sum(-1)
        return total if self.bias is None else total + self.bias


def plain_conv(channels: int, out: int, side: int, *, dilation: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size."""
    reach = dilation * (side // 2)
    return nn.Conv2d(channels, out, side, padding=reach, dilation=dilation, bias=False)


# -- Xception -----------------------------------------------------------------------------------------------


class Separable(nn.Module):
    """Each channel convolved by itself (3x3), then all mixed (1x1)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = plain_conv(channels, out, 1)

    def forward(self, y: Tensor) -> Tensor:
        """`[B,C,H,W]` -> `[B,O,H,W]`."""
        mixed: Tensor = self.pointwise(self.conv1(y))
        return mixed


class Residual(nn.Module):
    """Separable convolutions beside a skip.

    Args:
        channels: before and after each convolution.
        halves: both sides are halved, by a pool and on the skip by a stride.
        relu_first: there is a ReLU before the first convolution, too.
    """

    def __init__(self, channels: Sequence[int], *, halves: bool, relu_first: bool = True) -> None:
        super().__init__()
        self.halves, self.relu_first = halves, relu_first
        self.places = [3 * k + int(relu_first) for k in range(len(channels) - 1)]
        """Where the convolutions are in the published sequences of ReLU, convolution, norm."""
        self.rep = nn.ModuleDict()
        for place, (before, after) in zip(self.places, pairwise(channels), strict=True):
            self.rep[str(place)] = Separable(before, after)
            self.rep[str(place + 1)] = nn.BatchNorm2d(after)
        self.skips = halves or channels[0] != channels[-1]
        if self.skips:
            self.skip = nn.Conv2d(channels[0], channels[-1], 1, stride=1 + int(halves), bias=False)
            self.skipbn = nn.BatchNorm2d(channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        """`[B,C,H,W]` -> `[B,O,H,W]`, or half of H and W, rounded up."""
        y = x
        for number, place in enumerate(self.places):
            y = F.relu(y) if number or self.relu_first else y
            y = self.rep[str(place + 1)](self.rep[str(place)](y))
        y = F.max_pool2d(y, 3, 2, 1) if self.halves else y
        beside = self.skipbn(self.skip(x)) if self.skips else x
        return y + beside


class Xception(nn.Module):
    """20.8 million weights; `[B,3,S,S]`, normalised, to two logits `[B,2]`, real and forged."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.block1 = Residual((64, 128, 128), halves=True, relu_first=False)
        self.block2 = Residual((128, 256, 256), halves=True)
        self.block3 = Residual((256, 728, 728), halves=True)
        for number in range(4, 12):
            self.add_module(f"block{number}", Residual((728, 728, 728, 728), halves=False))
        self.block12 = Residual((728, 728, 1024), halves=True)
        self.conv3 = Separable(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = Separable(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.last_linear = RowWise(2048, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        for number in range(1, 13):
            y = self.get_submodule(f"block{number}")(y)
        y = F.relu(self.bn3(self.conv3(y)))
        y = F.relu(self.bn4(self.conv4(y)))
        logits: Tensor = self.last_linear(y.mean(-1).mean(-1))
        return logits


# -- MesoNet ------------------------------------------------------------------------------------------------

SLOPE = 0.1
"""Of the leaky ReLU between the last two layers."""


class Head(nn.Module):
    """The last two layers of both, on an 8x8 map of 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = RowWise(16 * 8 * 8, 16)
        self.fc2 = RowWise(16, 2)

    def verdict(self, y: Tensor) -> Tensor:
        """`[B,16,8,8]` -> two logits `[B,2]`."""
        logits: Tensor = self.fc2(F.leaky_relu(self.fc1(y.flatten(1)), SLOPE))
        return logits


class Meso4(Head):
    """28 thousand weights; `[B,3,256,256]`, normalised, to two logits `[B,2]`.

    Layers of one width share a norm, as published.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = plain_conv(3, 8, 3)
        self.conv2 = plain_conv(8, 8, 5)
        self.conv3 = plain_conv(8, 16, 5)
        self.conv4 = plain_conv(16, 16, 5)
        self.bn1 = nn.BatchNorm2d(8)
        self.bn2 = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        y = F.max_pool2d(self.bn1(F.relu(self.conv1(x))), 2)
        y = F.max_pool2d(self.bn1(F.relu(self.conv2(y))), 2)
        y = F.max_pool2d(self.bn2(F.relu(self.conv3(y))), 2)
        y = F.max_pool2d(self.bn2(F.relu(self.conv4(y))), 4)
        return self.verdict(y)


class MesoInception4(Head):
    """29 thousand weights; `[B,3,256,256]`, normalised, to two logits `[B,2]`; spelt as published."""

    def __init__(self) -> None:
        super().__init__()
        for layer, (channels, first) in enumerate(((3, 1), (11, 2)), 1):
            name = f"Incption{layer}"
            self.add_module(f"{name}_conv1", plain_conv(channels, first, 1))
            for branch, width, dilation in ((2, 4, 1), (3, 4, 2), (4, 2, 3)):
                self.add_module(f"{name}_conv{branch}_1", plain_conv(channels, width, 1))
                self.add_module(f"{name}_conv{branch}_2", plain_conv(width, width, 3, dilation=dilation))
            self.add_module(f"{name}_bn", nn.BatchNorm2d(first + 10))
        self.conv1 = plain_conv(12, 16, 5)
        self.conv2 = plain_conv(16, 16, 5)
        self.bn1 = nn.BatchNorm2d(16)

    def _inception(self, y: Tensor, layer: int) -> Tensor:
        """Four branches of growing reach, side by side, at half the size."""
        part = {name: self.get_submodule(f"Incption{layer}_{name}") for name in ("conv1", "bn")}
        branches = [part["conv1"](y)]
        for branch in (2, 3, 4):
            narrow, wide = (self.get_submodule(f"Incption{layer}_conv{branch}_{k}") for k in (1, 2))
            branches.append(wide(narrow(y)))
        return F.max_pool2d(part["bn"](torch.cat(branches, 1)), 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self._inception(self._inception(x, 1), 2)
        y = F.max_pool2d(self.bn1(F.relu(self.conv1(y))), 2)
        y = F.max_pool2d(self.bn1(F.relu(self.conv2(y))), 4)
        return self.verdict(y)

"""HiSD's networks (Li et al., CVPR 2021, arXiv 2103.01456).

Names of attributes are those of the published state dicts (github.com/imlixinyang/HiSD, `core/networks.py`);
all else is written here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.functional import by_row

SLOPE = 0.2
"""Of every leaky ReLU."""

EPS = 1e-5
"""Added to a standard deviation, outside of the root."""

FLAT = 1e-20
"""A variance below it has no gradient; that of a root at 0 is infinite."""


def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each channel of each image with mean 0 and deviation 1 (of n - 1), then scaled and shifted.

    Args:
        x: `[B,C,H,W]`.
        weight, bias: `[B,C,1]` or `[1,C,1]`.
    """
    flat = x.flatten(2)
    centred = flat - flat.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / max(flat.shape[-1] - 1, 1)
    y = centred / (variance.clamp_min(FLAT).sqrt() + EPS) * weight + bias
    return y.view_as(x)


class Norm(nn.Module):
    """An instance norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return normalised(x, self.weight, self.bias)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


class Block(nn.Module):
    """Two 3x3 convolutions after activations, beside a 1x1 convolution; the sum over the root of 2."""

    def __init__(self, before: int, middle: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, middle, 3, padding=1)
        self.conv2 = nn.Conv2d(middle, after, 3, padding=1)
        self.sc = nn.Conv2d(before, after, 1, bias=False)


class Down(Block):
    """Halves the side.

    Args:
        norms: with instance norms before the activations.
    """

    def __init__(self, before: int, after: int, *, norms: bool) -> None:
        super().__init__(before, before, after)
        if norms:
            self.in1, self.in2 = Norm(before), Norm(before)
        self.norms = norms

    def forward(self, x: Tensor) -> Tensor:
        y = F.avg_pool2d(self.conv1(_leaky(self.in1(x) if self.norms else x)), 2)
        y = self.conv2(_leaky(self.in2(y) if self.norms else y))
        return (F.avg_pool2d(self.sc(x), 2) + y) / math.sqrt(2)


class Up(Block):
    """Doubles the side, by nearest neighbours."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, after)
        self.in1, self.in2 = Norm(before), Norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(_leaky(self.in1(x)), scale_factor=2, mode="nearest")
        y = self.conv2(_leaky(self.in2(self.conv1(y))))
        return (F.interpolate(self.sc(x), scale_factor=2, mode="nearest") + y) / math.sqrt(2)


class Middle(Block):
    """Keeps the side; its two norms are told their weights and biases."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, after)
        self.channels = (before, after)

    def forward(self, x: Tensor, told: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """`told` has (weight, bias) of both norms, `[B,C,1]` each."""
        y = self.conv1(_leaky(normalised(x, *told[0])))
        y = self.conv2(_leaky(normalised(y, *told[1])))
        return (self.sc(x) + y) / math.sqrt(2)


class Extractors(nn.Module):
    """The styles that a picture shows, one of each tag."""

    def __init__(self, channels: Sequence[int], tags: int, style: int) -> None:
        super().__init__()
        self.tags = tags
        self.model = nn.Sequential(
            nn.Conv2d(3, channels[0], 1),
            *(Down(before, after, norms=False) for before, after in pairwise(channels)),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels[-1], style * tags, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` in [-1,1] -> `[B,T,S]`."""
        y: Tensor = self.model(x)
        return y.flatten(1).unflatten(1, (self.tags, -1))


class Translator(nn.Module):
    """Changes the features where one tag has its place, by a mask."""

    def __init__(self, features: int, width: int, layers: int, style: int) -> None:
        super().__init__()
        blocks = [Middle(width, width) for _ in range(layers)]
        self.model = nn.Sequential(nn.Conv2d(features, width, 1), *blocks)
        self.style_to_params = nn.Linear(style, sum(2 * sum(block.channels) for block in blocks))
        self.features = nn.Sequential(nn.Conv2d(width, features, 1))
        self.masks = nn.Sequential(nn.Conv2d(width, features, 1), nn.Sigmoid())

    def forward(self, e: Tensor, s: Tensor) -> Tensor:
        """Features `[B,C,h,w]` and styles `[B,S]` -> features."""
        params, at = by_row(self.style_to_params, s)[..., None], 0
        y = self.model[0](e)
        for block in self.model[1:]:
            assert isinstance(block, Middle)
            told = []
            for n in block.channels:  # of each norm first the biases, then the weights
                told.append((1 + params[:, at + n : at + 2 * n], params[:, at : at + n]))
                at += 2 * n
            y = block(y, told)
        mask = self.masks(y)
        return self.features(y) * mask + e * (1 - mask)


class LinearBlock(nn.Module):
    """An activation and a linear layer."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after)


class Mapper(nn.Module):
    """Styles of the attributes of one tag, from noise."""

    def __init__(self, noise: int, width: int, style: int, attributes: int) -> None:
        super().__init__()
        self.pre_model = nn.Sequential(
            nn.Linear(noise, width), LinearBlock(width, width), LinearBlock(width, width)
        )
        self.post_models = nn.ModuleList(
            nn.Sequential(LinearBlock(width, width), LinearBlock(width, width), nn.Linear(width, style))
            for _ in range(attributes)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Noise `[B,Z]` -> a style for each attribute, `[B,A,S]`."""
        y = _linear(self.pre_model, z)
        return torch.stack([_linear(model, y) for model in self.post_models], 1)


def _linear(layers: nn.Module, y: Tensor) -> Tensor:
    for layer in layers.children():
        if isinstance(layer, LinearBlock):
            y = by_row(layer.linear, F.relu(y))
        elif isinstance(layer, nn.Linear):
            y = by_row(layer, y)
    return y

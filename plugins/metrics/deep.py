"""Distances between the deep features Phi of two images: of the face parser's encoder, or of the generator.

The paper names no network. The parser is there already, it has been trained on attacked faces too, and its
features know where brows end and hair begins. The generator's own features see what the generator sees, at
the price of two passes per pair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.api import Condition, FeatureSource, MetricSpec, Need, Parser, hookimpl
from magdr_core.functional import in_pieces, masked_mean

MAGDR_API = 1

CITE = "Chen et al., MagDR, CVPR 2021, section 3.2"

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Features `[B,C,h,w]` of both images and masks `[B,N,H,W]` -> `[B,N]`."""


def root_mean_square(left: Tensor, right: Tensor, masks: Tensor) -> Tensor:
    """Root mean square difference of the features in each region, `[B,N]`, >= 0."""
    pooled = pool_masks(masks, (left.shape[-2], left.shape[-1]))
    # As in `l2`: the offset keeps the root's slope finite where features agree.
    return (masked_mean((left - right).square(), pooled) + 1e-12).sqrt()


def cosine(left: Tensor, right: Tensor, masks: Tensor) -> Tensor:
    """1 - cosine of the regions' mean features, `[B,N]` in [0,2]; 0 where a region is empty."""
    pooled = pool_masks(masks, (left.shape[-2], left.shape[-1]))
    apart = _unit(left, pooled) - _unit(right, pooled)
    # For unit vectors 1 - u v = |u - v|^2 / 2, which is exact near 0 where 1 - u v is all rounding.
    return apart.square().sum(-1) / 2


def pool_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Each mask's share of the pixels under each cell of a feature map, `[B,N,H,W] -> [B,N,*size]`.

    Plain area means, not renormalised: a cell that a region covers by half weighs half.
    """
    return masks if tuple(masks.shape[-2:]) == size else F.interpolate(masks, size, mode="area")


def _unit(features: Tensor, masks: Tensor) -> Tensor:
    """Direction of the mean feature in each region, `[B,N,C]`; zeros where it is empty."""
    # One region at a time: all of them at once would be N feature maps.
    means = torch.stack([masked_mean_vector(features, m) for m in masks.split(1, 1)], 1)
    return means / (means.square().sum(-1, keepdim=True) + 1e-12).sqrt()


def masked_mean_vector(features: Tensor, mask: Tensor) -> Tensor:
    """Mean feature inside one soft region, `[B,C,h,w]` and `[B,1,h,w]` -> `[B,C]`; 0 where it is empty."""
    total = (features * mask).sum(-1).sum(-1)
    return total / mask.sum(-1).sum(-1).clamp_min(1e-6)


class ParserFeatures:
    """A distance of one layer of a parser's encoder.

    Args:
        parser: has `features(x) -> [[B,C,h,w], ...]`, finest first.
        layer: index into them; negative ones count from the deepest.
    """

    def __init__(self, distance: Distance, parser: Parser, layer: int) -> None:
        if not hasattr(parser, "features"):
            raise TypeError("this parser has no features; a deep metric needs an encoder")
        self.distance = distance
        self.encoder = parser.features
        self.layer = layer

    def __call__(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        both = torch.cat([a, b])
        left, right = in_pieces(lambda i: self._layer(both[i]), both).split(len(a))
        return self.distance(left, right, masks)

    def _layer(self, x: Tensor) -> Tensor:
        maps = self.encoder(x)
        if not -len(maps) <= self.layer < len(maps):
            raise ValueError(f"layer {self.layer}: this parser's encoder has {len(maps)}")
        found: Tensor = maps[self.layer]
        return found


class GeneratorFeatures:
    """A distance of one layer of the generator, which is given both images with the condition at hand."""

    def __init__(self, distance: Distance, layer: int) -> None:
        self.distance = distance
        self.layer = layer

    def __call__(self, a: Tensor, b: Tensor, masks: Tensor, *, c: Condition, G: FeatureSource) -> Tensor:
        left, right = G.features(torch.cat([a, b]), c.repeat(2), self.layer).split(len(a))
        return self.distance(left, right, masks)


def deep(*, parser: Parser, layer: int = 1) -> ParserFeatures:
    """L2 distance of the parser's features at a layer (0 the finest), in each region.

    Args:
        layer: index of the encoder's feature map, 0 the finest; negative ones count from the deepest.
        parser: face parser whose encoder gives the features.
    """
    return ParserFeatures(root_mean_square, parser, layer)


def deep_cosine(*, parser: Parser, layer: int = -1) -> ParserFeatures:
    """1 - cosine of the parser's pooled features at its deepest layer, in each region.

    Args:
        layer: index of the encoder's feature map, 0 the finest; negative ones count from the deepest.
        parser: face parser whose encoder gives the features.
    """
    return ParserFeatures(cosine, parser, layer)


def generator_deep(*, layer: int = 1) -> GeneratorFeatures:
    """L2 distance of the generator's own features at a layer (0 the finest), in each region.

    Args:
        layer: index of the generator's feature map, 0 the finest; negative ones count from the
            deepest.
    """
    return GeneratorFeatures(root_mean_square, layer)


def generator_cosine(*, layer: int = -1) -> GeneratorFeatures:
    """1 - cosine of the generator's own pooled features at its deepest layer, in each region.

    Args:
        layer: index of the generator's feature map, 0 the finest; negative ones count from the
            deepest.
    """
    return GeneratorFeatures(cosine, layer)


@hookimpl
def magdr_metrics() -> list[MetricSpec]:
    needs = {"parser": Need("parser")}
    return [
        MetricSpec(name="deep", build=deep, needs=needs, cite=CITE),
        MetricSpec(name="deep-cosine", build=deep_cosine, needs=needs, cite=CITE),
        MetricSpec(name="generator-deep", build=generator_deep, conditional=True, cite=CITE),
        MetricSpec(name="generator-cosine", build=generator_cosine, conditional=True, cite=CITE),
    ]

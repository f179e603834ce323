"""ArcFace: who is shown, by networks whose weights are public (Deng et al., CVPR 2019, arXiv 1801.07698).

`arcface` has the layout of InsightFace's `iresnet` (github.com/deepinsight/insightface,
`recognition/arcface_torch`), whose `backbone.pth` load; `arcface-se` that of the network which SimSwap takes
identities of (github.com/foamliu/InsightFace-v2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from torch import Tensor, nn

from magdr_core.api import Field, IdentityEncoderSpec, Weights, hookimpl, load_state
from magdr_core.functional import constant

from ._arcface import IResNet, SEResNet
from ._pictures import Resizing, directions, framed

MAGDR_API = 1

SIDE = 112
DIMENSION = 512

DEPTHS: dict[str, tuple[int, int, int, int]] = {
    "18": (2, 2, 2, 2),
    "34": (3, 4, 6, 3),
    "50": (3, 4, 14, 3),
    "100": (3, 13, 30, 3),
    "200": (6, 26, 60, 6),
}
"""Blocks of the four stages of InsightFace's networks."""

SE_BLOCKS = (3, 4, 23, 3)
"""Blocks of the four stages of SimSwap's network."""

# ImageNet's channel statistics, which SimSwap normalises faces by.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Count = Annotated[int, Field(ge=1, le=100)]
Crop = Annotated[float, Field(ge=0.2, le=1)]


class ArcFace(nn.Module):
    """Faces to directions.

    Args:
        net: `[B,3,112,112]` -> `[B,512]`, of any length.
        imagenet: pictures are normalised by ImageNet's statistics; else they are in [-1,1].
        crop: share of each side, in the middle, that is looked at.
        resizing: how pictures are brought to 112 px.
    """

    size = SIDE
    dimension = DIMENSION

    def __init__(self, net: nn.Module, *, imagenet: bool, crop: float, resizing: Resizing) -> None:
        super().__init__()
        self.net = net
        self.imagenet, self.crop = imagenet, crop
        self.resizing: Resizing = resizing

    def forward(self, x: Tensor) -> Tensor:
        y = framed(x, SIDE, self.crop, self.resizing)
        mean, std = (MEAN, STD) if self.imagenet else ((0.5,) * 3, (0.5,) * 3)
        mean_, std_ = (constant(list(v), x.device).to(x)[:, None, None] for v in (mean, std))
        return directions(self.net((y - mean_) / std_))


_BLOCK = re.compile(r"layer([1-4])\.\d+\.conv1\.weight")


def _blocks(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    stages = [int(match[1]) for key in state if (match := _BLOCK.fullmatch(key))]
    return tuple(stages.count(stage) for stage in range(1, 5))


def remedy(state: Mapping[str, Tensor], *, squeeze: bool, blocks: tuple[int, ...] = ()) -> str:
    """What a state dict that does not fit is, for the message; empty if that cannot be told.

    Args:
        squeeze: the network that it does not fit is SimSwap's, with these `blocks`.
    """
    found = _blocks(state)
    if not any(found):
        return "It is no ArcFace network of a known layout"
    if any(".se." in key for key in state) != squeeze:
        other = "arcface" if squeeze else "arcface-se"
        return f'It is of another layout: use = "{other}"'
    if squeeze:
        return f"The file was made with blocks = {list(found)}" if found != blocks else ""
    depths = [depth for depth, known in DEPTHS.items() if known == found]
    return f'The file was made with depth = "{depths[0]}"' if depths else ""


def arcface(
    *,
    weights: Weights = "random",
    depth: Literal["18", "34", "50", "100", "200"] = "50",
    crop: Crop = 1.0,
    resizing: Resizing = "bilinear",
) -> ArcFace:
    """Identities by InsightFace's ArcFace networks, of pictures brought to 112 px.

    Args:
        weights: weight file, in the keys of the public implementation.
        depth: which of the published networks, as in the weight file.
        crop: share of each side, in the middle of a picture, that is looked at.
        resizing: how pictures are brought to 112 px; `nearest` passes over pixels, and their gradients.
    """
    net = IResNet(DEPTHS[depth], DIMENSION)
    load_state(net, weights, remedy=lambda state: remedy(state, squeeze=False))
    return ArcFace(net, imagenet=False, crop=crop, resizing=resizing).eval()


def arcface_se(
    *,
    weights: Weights = "random",
    blocks: tuple[Count, Count, Count, Count] = SE_BLOCKS,
    crop: Crop = 1.0,
    resizing: Resizing = "nearest",
) -> ArcFace:
    """Identities as SimSwap takes them: another ArcFace network, of pictures brought to 112 px.

    Args:
        weights: weight file, in the keys of the public implementation.
        blocks: blocks of the four stages, as in the weight file.
        crop: share of each side, in the middle of a picture, that is looked at.
        resizing: how pictures are brought to 112 px; `nearest`, as published, passes over pixels, and their
            gradients.
    """
    net = SEResNet(blocks, DIMENSION)
    load_state(net, weights, remedy=lambda state: remedy(state, squeeze=True, blocks=blocks))
    return ArcFace(net, imagenet=True, crop=crop, resizing=resizing).eval()


@hookimpl
def magdr_identity_encoders() -> list[IdentityEncoderSpec]:
    cite = "Deng et al., ArcFace, CVPR 2019 (arXiv 1801.07698)"
    return [
        IdentityEncoderSpec(name="arcface", build=arcface, cite=cite),
        IdentityEncoderSpec(name="arcface-se", build=arcface_se, cite=cite),
    ]

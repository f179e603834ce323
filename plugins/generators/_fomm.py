"""The networks of the First Order Motion Model (Siarohin et al., NeurIPS 2019, arXiv 2003.00196).

Names of attributes are those of the published state dicts (github.com/AliaksandrSiarohin/first-order-model,
`modules/`); all else is written here. Norms use their running statistics.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._keypoints import centres, gaussians, local_motions
from ._layers import RunningNorm2d

Jacobians = Literal["each", "single", "none"]

MOTION_WIDEST = 1024
"""No map of an hourglass has more channels, in any published configuration."""

BODY_WIDEST = 512
"""No map of the generator has more."""

HALVINGS = 2
"""Of the side, before features are warped."""

TEMPERATURE = 0.1
"""Of the softmax that makes heat maps."""


def widths_of(first: int, count: int, widest: int) -> list[int]:
    """Channels before and after each of so many halvings: doubled, up to a bound."""
    return [min(widest, first * 2**i) for i in range(count + 1)]


class Layer(nn.Module):
    """A convolution that keeps the side, a norm and a ReLU."""

    def __init__(self, before: int, after: int, side: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, side, padding=side // 2)
        self.norm = RunningNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Halved(Layer):
    """The same, then the mean of each 2x2 square."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class Doubled(Layer):
    """The same, of the map enlarged by nearest neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Residual(nn.Module):
    """Twice a norm, a ReLU and a convolution; and the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = RunningNorm2d(width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = RunningNorm2d(width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))


class Halvings(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(Halved(before, after) for before, after in pairwise(widths))


class Doublings(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        steps = list(pairwise(widths))[::-1]
        # All but the first are given as many channels again, of the encoder.
        self.up_blocks = nn.ModuleList(
            Doubled(after if i == 0 else 2 * after, before) for i, (before, after) in enumerate(steps)
        )


class Hourglass(nn.Module):
    """Halved `depth` times and doubled as often, each map beside the encoder's of its side.

    Attributes:
        channels: of what comes out.
    """

    def __init__(self, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        widths = widths_of(width, depth, MOTION_WIDEST)
        self.encoder = Halvings([inputs, *widths[1:]])
        self.decoder = Doublings(widths)
        self.channels = widths[0] + inputs

    def forward(self, x: Tensor) -> Tensor:
        kept = [x]
        for down in self.encoder.down_blocks:
            kept.append(down(kept[-1]))
        y = kept.pop()
        for up in self.decoder.up_blocks:
            y = torch.cat([up(y), kept.pop()], 1)
        return y


class Reduced(nn.Module):
    """Pictures with a `factor` of their side: blurred by a Gaussian, then one pixel of each square.

    The Gaussian is a part of the published state dicts.
    """

    weight: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        deviation = (factor - 1) / 2
        reach = round(4 * deviation)
        line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation).square())
        kernel = line[:, None] * line
        self.register_buffer("weight", (kernel / kernel.sum()).repeat(3, 1, 1, 1))
        self.factor, self.reach = factor, reach

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=self.factor, padding=self.reach, groups=3)


def reducing(factor: int) -> nn.Module | None:
    return Reduced(factor) if factor > 1 else None


class KeypointDetector(nn.Module):
    """Where the parts of a picture are, and how each is turned, stretched and sheared.

    Args:
        keypoints: their number K.
        width: channels of the hourglass at its full side.
        depth: halvings of the hourglass.
        reduced: factor by which pictures are made smaller first.
        jacobians: learned for each keypoint, in one map for all of them, or not at all.
    """

    def __init__(
        self, keypoints: int, *, width: int, depth: int, reduced: int, jacobians: Jacobians
    ) -> None:
        super().__init__()
        self.predictor = Hourglass(3, width, depth)
        self.kp = nn.Conv2d(self.predictor.channels, keypoints, 7)
        self.jacobian: nn.Conv2d | None = None
        if jacobians != "none":
            maps = keypoints if jacobians == "each" else 1
            self.jacobian = nn.Conv2d(self.predictor.channels, 4 * maps, 7)
            # Training begins with parts that are moved only.
            nn.init.zeros_(self.jacobian.weight)
            with torch.no_grad():
                self.jacobian.bias.copy_(torch.eye(2).flatten().repeat(maps))  # type: ignore[union-attr]
        self.down = reducing(reduced)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> keypoints `[B,K,6]` (`[B,K,2]` without Jacobians): column and row in
        [-1,1], from the centre of the first pixel to that of the last, then the Jacobian, row by row."""
        y = self.predictor(x if self.down is None else self.down(x))
        logits = self.kp(y)
        heat = torch.softmax(logits.flatten(2) / TEMPERATURE, 2).view_as(logits)
        place = centres(heat)
        if self.jacobian is None:
            return place
        maps = self.jacobian(y).unflatten(1, (-1, 4))
        return torch.cat([place, (heat[:, :, None] * maps).flatten(3).sum(-1)], 2)


class DenseMotion(nn.Module):
    """Which keypoint each place moves with, from what the picture is like if it all moves with one.

    Args:
        keypoints, width, depth, reduced: as of :class:`KeypointDetector`.
        occlusion: whether it is also estimated what has to be painted anew.
        align_corners: whether -1 and 1 are the centres of the outermost pixels where pictures are sampled.
    """

    def __init__(
        self,
        keypoints: int,
        *,
        width: int,
        depth: int,
        reduced: int,
        occlusion: bool,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.hourglass = Hourglass(4 * (keypoints + 1), width, depth)
        channels = self.hourglass.channels
        self.mask = nn.Conv2d(channels, keypoints + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(channels, 1, 7, padding=3) if occlusion else None
        self.down = reducing(reduced)
        self.align_corners = align_corners

    def forward(self, x: Tensor, driving: Tensor, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pictures and two sets of keypoints -> (where each place comes from, `[B,2,h,w]`; how much of it is
        to be seen there, `[B,1,h,w]` in [0,1], or None)."""
        small = x if self.down is None else self.down(x)
        size = (small.shape[2], small.shape[3])
        motions = local_motions(driving, source, size)
        count = motions.shape[1]
        moved = F.grid_sample(
            small[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1),
            motions.flatten(0, 1).permute(0, 2, 3, 1),
            align_corners=self.align_corners,
        )
        heat = gaussians(driving, size) - gaussians(source, size)
        heat = F.pad(heat, (0, 0, 0, 0, 1, 0))  # the background has none
        y = torch.cat([heat[:, :, None], moved.unflatten(0, (-1, count))], 2).flatten(1, 2)
        y = self.hourglass(y)
        share = torch.softmax(self.mask(y), 1)
        flow = (share[:, :, None] * motions).sum(1)
        return flow, None if self.occlusion is None else torch.sigmoid(self.occlusion(y))


class WarpingGenerator(nn.Module):
    """Features of a picture, warped as a dense motion says and painted again.

    Args:
        keypoints, depth, reduced, occlusion, align_corners: as of :class:`DenseMotion`.
        width: channels after the first convolution, and of the motion's hourglass.
        blocks: residual blocks.
    """

    def __init__(
        self,
        keypoints: int,
        *,
        width: int,
        blocks: int,
        depth: int,
        reduced: int,
        occlusion: bool,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion(
            keypoints,
            width=width,
            depth=depth,
            reduced=reduced,
            occlusion=occlusion,
            align_corners=align_corners,
        )
        widths = widths_of(width, HALVINGS, BODY_WIDEST)
        self.first = Layer(3, width, 7)
        self.down_blocks = nn.ModuleList(Halved(before, after) for before, after in pairwise(widths))
        self.up_blocks = nn.ModuleList(Doubled(before, after) for before, after in pairwise(widths[::-1]))
        self.bottleneck = nn.ModuleDict({f"r{i}": Residual(widths[-1]) for i in range(blocks)})
        self.final = nn.Conv2d(width, 3, 7, padding=3)
        self.align_corners = align_corners

    def encoded(self, x: Tensor) -> list[Tensor]:
        """Activations before the warp: sides H, H/2 and H/4."""
        kept = [self.first(x)]
        for down in self.down_blocks:
            kept.append(down(kept[-1]))
        return kept

    def forward(self, x: Tensor, driving: Tensor, source: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` in [0,1], where their keypoints shall be and where they are -> pictures."""
        y = self.encoded(x)[-1]
        flow, seen = self.dense_motion_network(x, driving, source)
        size = (y.shape[2], y.shape[3])
        flow = _resized(flow, size).permute(0, 2, 3, 1)
        y = F.grid_sample(y, flow, align_corners=self.align_corners)
        if seen is not None:
            y = y * _resized(seen, size)
        for block in self.bottleneck.values():
            y = block(y)
        for up in self.up_blocks:
            y = up(y)
        return torch.sigmoid(self.final(y))


def _resized(y: Tensor, size: tuple[int, int]) -> Tensor:
    if y.shape[2:] == size:
        return y
    return F.interpolate(y, size, mode="bilinear", align_corners=False)

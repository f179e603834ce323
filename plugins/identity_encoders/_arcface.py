"""The two public layouts of ArcFace networks (Deng et al., CVPR 2019, arXiv 1801.07698).

Names of attributes are those of the published state dicts; all else is written here. Batch norms use their
running statistics always.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.functional import by_row

WIDTHS = (64, 128, 256, 512)
"""Channels of the four stages."""

GRID = 7
"""Side of the map before the last linear layer, of pictures of 112 px."""


class Norm(nn.BatchNorm2d):
    """A batch norm that uses its running statistics always, of maps or of vectors."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def conv3x3(before: int, after: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, padding, bias=False)


def shortcut(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), Norm(after))


class Block(nn.Module):
    """InsightFace's: norm, convolution, norm, PReLU, convolution (which may halve the side), norm; and the
    shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = Norm(before), conv3x3(before, after)
        self.bn2, self.prelu = Norm(after), nn.PReLU(after)
        self.conv2, self.bn3 = conv3x3(after, after, stride), Norm(after)
        self.downsample = None if stride == 1 and before == after else shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        beside: Tensor = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(y)) + beside


class IResNet(nn.Module):
    """InsightFace's improved residual network (`arcface_torch`, `iresnet`).

    Args:
        blocks: of each of the four stages.
        dimension: numbers of an identity.
    """

    def __init__(self, blocks: Sequence[int], dimension: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.prelu = conv3x3(3, WIDTHS[0]), Norm(WIDTHS[0]), nn.PReLU(WIDTHS[0])
        before = WIDTHS[0]
        for stage, (after, count) in enumerate(zip(WIDTHS, blocks, strict=True), 1):
            layers = [Block(before if i == 0 else after, after, 2 if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            before = after
        self.bn2 = Norm(before)
        self.fc = nn.Linear(before * GRID**2, dimension)
        self.features = Norm(dimension)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,3,112,112]` in [-1,1] -> `[B,D]`, of any length."""
        y = self.prelu(self.bn1(self.conv1(x)))
        for stage in range(1, 5):
            y = self.get_submodule(f"layer{stage}")(y)
        y = by_row(self.fc, self.bn2(y).flatten(1))
        found: Tensor = self.features(y)
        return found


class Squeeze(nn.Module):
    """Channels weighed by what their means say (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 16), nn.PReLU(), nn.Linear(channels // 16, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        first, act, last = self.fc[0], self.fc[1], self.fc[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        y = act(by_row(first, x.mean((2, 3))))
        return x * by_row(last, y).sigmoid()[:, :, None, None]


class SEBlock(nn.Module):
    """SimSwap's: as :class:`Block`, the first convolution keeps the channels, weighed channels, one PReLU of
    one parameter after the first convolution and after the sum."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn0, self.conv1 = Norm(before), conv3x3(before, before)
        self.bn1, self.prelu = Norm(before), nn.PReLU()
        self.conv2, self.bn2 = conv3x3(before, after, stride), Norm(after)
        self.downsample = None if stride == 1 and before == after else shortcut(before, after, stride)
        self.se = Squeeze(after)

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn1(self.conv1(self.bn0(x))))
        y = self.se(self.bn2(self.conv2(y)))
        beside = x if self.downsample is None else self.downsample(x)
        summed: Tensor = self.prelu(y + beside)
        return summed


class SEResNet(nn.Module):
    """The network that SimSwap takes identities of (github.com/foamliu/InsightFace-v2).

    Args:
        blocks: of each of the four stages; the first does not halve the side.
        dimension: numbers of an identity.
    """

    def __init__(self, blocks: Sequence[int], dimension: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(3, WIDTHS[0], padding=0)
        self.bn1, self.prelu = Norm(WIDTHS[0]), nn.PReLU()
        before = WIDTHS[0]
        for stage, (after, count) in enumerate(zip(WIDTHS, blocks, strict=True), 1):
            strides = [1 if stage == 1 or i else 2 for i in range(count)]
            layers = [SEBlock(after if i else before, after, stride) for i, stride in enumerate(strides)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            before = after
        self.bn2 = Norm(before)
        self.fc = nn.Linear(before * GRID**2, dimension)
        self.bn3 = Norm(dimension)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,3,112,112]`, normalised, -> `[B,D]`, of any length."""
        y = F.max_pool2d(self.prelu(self.bn1(self.conv1(x))), 2)
        for stage in range(1, 5):
            y = self.get_submodule(f"layer{stage}")(y)
        y = by_row(self.fc, self.bn2(y).flatten(1))
        found: Tensor = self.bn3(y)
        return found

"""Small networks that tell forged pictures from real ones.

Group norms, or instance norms: what a picture scores does not depend on its batch, in training either, where
clean and adversarial pictures would else share their statistics.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import TrainedOn
from magdr_core.functional import in_pieces

from ..networks.layers import Norm, halved, layer

GAIN = 8.0
"""Of the high-pass that networks are shown beside the picture."""


def with_detail(x: Tensor) -> Tensor:
    """The picture in [-1,1] and its amplified high-pass: `[B,3,H,W]` in [0,1] -> `[B,6,H,W]`."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    mean = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
    return torch.cat([2 * x - 1, GAIN * (x - mean)], 1)


class Verdict(nn.Linear):
    """The mean and the maximum of each channel, weighted to one number: `[B,C,H,W]` -> `[B]`.

    Summed by hand, since a matrix product gives a picture other last bits in a batch of another size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(2 * channels, 1)

    def forward(self, y: Tensor) -> Tensor:
        pooled = torch.cat([y.mean(-1).mean(-1), y.amax((2, 3))], 1)
        return (pooled * self.weight).sum(1) + self.bias


class Trunk(nn.Module):
    """Four convolutions with pools between them; the mean and the maximum of the last map: `[B,C,H,W]` ->
    log odds `[B]`.

    Args:
        channels: C.
        width: channels of the first convolution; twice, three and four times as many follow.
    """

    def __init__(self, channels: int, width: int, norm: Norm) -> None:
        super().__init__()
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.layers = nn.ModuleList(
            layer(i, o, norm) for i, o in zip([channels, *widths[:-1]], widths, strict=True)
        )
        self.head = Verdict(widths[-1])

    def forward(self, y: Tensor) -> Tensor:
        for i, block in enumerate(self.layers):
            y = block(halved(y) if i else y)
        return self.head(y)


class PlainNet(nn.Module):
    """A plain convolutional classifier on the picture and its high-pass.

    Args:
        width: channels of the first convolution.
        norm: group or instance norms.
    """

    trained_on = TrainedOn()

    def __init__(self, *, width: int = 16, norm: Norm = "group") -> None:
        super().__init__()
        self.trunk = Trunk(6, width, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Log odds of a forgery, `[B,3,H,W]` in [0,1] -> `[B]`."""
        result: Tensor = self.trunk(with_detail(x))
        return result

    def score(self, x: Tensor) -> Tensor:
        """As `forward`, with the same bits for a picture in any batch."""
        return in_pieces(lambda i: self(x[i]), x)


BANDS = ((0.0, 1 / 2.82), (1 / 2.82, 1 / 2), (1 / 2, 2.0), (0.0, 2.0))
"""Low, middle, high and all frequencies: where `u + v` of a cosine lies, in shares of the side."""


class FrequencyNet(nn.Module):
    """A classifier on four frequency bands of the picture, each weighted by what is learned.

    After F3-Net's frequency-aware decomposition (Qian et al., ECCV 2020, arXiv 2007.09355): the picture's
    cosine transform, four times over, weighted by a band's 0 or 1 plus a learned mask in (-1,1), and back.

    Args:
        width: channels of the first convolution.
        size: side of the learned masks; pictures of another side are weighted by interpolated ones.
        norm: group or instance norms.
    """

    trained_on = TrainedOn()

    def __init__(self, *, width: int = 16, size: int = 64, norm: Norm = "group") -> None:
        super().__init__()
        self.trunk = Trunk(3 * len(BANDS), width, norm)
        self.masks = nn.Parameter(0.1 * torch.randn(len(BANDS), size, size))

    def decomposed(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> `[B,12,H,W]`, the bands one after the other."""
        rows, columns = (cosines(n, x) for n in x.shape[2:])
        flat = (2 * x - 1).flatten(0, 1)
        transformed = product(product(rows, flat), columns.T)
        weights = self._weights(x)
        parts = [product(product(rows.T, transformed * w), columns) for w in weights]
        return torch.cat([part.reshape(x.shape) for part in parts], 1)

    def _weights(self, x: Tensor) -> Tensor:
        """What each cosine of each band is multiplied by, `[4,H,W]`."""
        height, width = x.shape[2:]
        learned = 2 * torch.sigmoid(self.masks) - 1
        if learned.shape[1:] != x.shape[2:]:
            learned = F.interpolate(learned[None], (height, width), mode="bilinear", align_corners=False)[0]
        v = torch.arange(height, device=x.device, dtype=x.dtype)[:, None] / height
        u = torch.arange(width, device=x.device, dtype=x.dtype)[None] / width
        base = torch.stack([((u + v >= low) & (u + v < high)).to(x.dtype) for low, high in BANDS])
        return base + learned

    def forward(self, x: Tensor) -> Tensor:
        """Log odds of a forgery, `[B,3,H,W]` in [0,1] -> `[B]`."""
        result: Tensor = self.trunk(self.decomposed(x))
        return result

    def score(self, x: Tensor) -> Tensor:
        """As `forward`, with the same bits for a picture in any batch."""
        return in_pieces(lambda i: self(x[i]), x)


def cosines(n: int, like: Tensor) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of n samples, `[n,n]`, a frequency a row."""
    steps = torch.arange(n, device=like.device, dtype=torch.float64)
    basis = torch.cos(math.pi * steps[:, None] * (2 * steps + 1) / (2 * n)) * math.sqrt(2 / n)
    return torch.where(steps[:, None] == 0, math.sqrt(1 / n), basis).to(like.dtype)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product of planes `[n,H,W]` with one matrix, on either side; a plane has the same bits in any
    number of them."""
    count = max(a.shape[0] if a.ndim == 3 else 1, b.shape[0] if b.ndim == 3 else 1)
    return torch.bmm(*(m if m.ndim == 3 else m.expand(count, -1, -1) for m in (a, b)))

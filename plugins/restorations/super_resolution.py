"""Super-resolution as a defense: denoise, enlarge twice with EDSR, shrink back.

Mustafa, Khan, Hayat, Shen and Shao, Image Super-Resolution as a Defense Against Adversarial Attacks, IEEE
TIP 29, 2020 (arXiv 1901.01677; github.com/aamir-mustafa/super-resolution-adversarial-defense): wavelet
denoising (BayesShrink in YCbCr), then the network, whose picture of twice the size goes to the classifier.
A generator has a native size, so here the picture is shrunk back, antialiased.

The network is EDSR-baseline (Lim et al., Enhanced Deep Residual Networks, CVPR workshops 2017) with the
state-dict keys of the public PyTorch version (github.com/sanghyun-son/EDSR-PyTorch), so that its x2 weights
load: `features = 64, blocks = 16`. The shipped ones are smaller and were trained on drawn faces.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, Weights, hookimpl, load_state

MAGDR_API = 1

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""RGB mean of the published training photos, in [0,1] units; the network works on levels of 255 around it."""


class MeanShift(nn.Module):
    """A fixed 1x1 convolution that subtracts (sign -1) or adds (+1) the mean, levels of 255."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3).reshape(3, 3, 1, 1))
        self.register_buffer("bias", sign * 255 * torch.tensor(DIV2K_MEAN))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        assert isinstance(weight, Tensor)
        assert isinstance(bias, Tensor)
        # As a sum, which autocast leaves in full precision: bfloat16 knows no 255 levels.
        return (weight[None] * x[:, None]).sum(2) + bias[:, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between, and the identity; no norms."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(features, features), nn.ReLU(), _conv(features, features))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SuperResolution(nn.Module):
    """EDSR-baseline x2 between a wavelet denoiser and a resize.

    Args:
        features: channels (64 in the published network).
        blocks: residual blocks (16 in the published network).
        sigma: of the wavelet denoising, in [0,1] units; 0 leaves it out.
        quality: of a JPEG file between denoising and network; 0 for none.
    """

    def __init__(self, features: int, blocks: int, *, sigma: float = 0.0, quality: int = 0) -> None:
        super().__init__()
        self.sigma = sigma
        self.quality = quality
        self.sub_mean = MeanShift(-1)
        self.head = nn.Sequential(_conv(3, features))
        body = [ResidualBlock(features) for _ in range(blocks)]
        self.body = nn.Sequential(*body, _conv(features, features))
        up = nn.Sequential(_conv(features, 4 * features), nn.PixelShuffle(2))
        self.tail = nn.Sequential(up, _conv(features, 3))
        self.add_mean = MeanShift(+1)

    def enlarge(self, x: Tensor) -> Tensor:
        """The network alone: `[B,3,H,W]` in [0,1] -> `[B,3,2H,2W]`, not clamped."""
        y = self.head(self.sub_mean(255 * x))
        return self.add_mean(self.tail(y + self.body(y))) / 255

    def forward(self, x: Tensor) -> Tensor:
        if self.sigma:
            x = functional.wavelet_denoise_ycbcr(x, self.sigma)
        if self.quality:
            x = functional.jpeg(x, self.quality)
        large = functional.clamp_inclusive(functional.in_pieces(lambda i: self.enlarge(x[i]), x))
        return functional.resize(large, (x.shape[2], x.shape[3]))


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


def super_resolution(
    *,
    weights: Weights = "builtin:edsr-faces64",
    features: Annotated[int, Field(ge=4, le=256)] = 32,
    blocks: Annotated[int, Field(ge=1, le=32)] = 4,
    sigma: Annotated[float, Field(ge=0, le=1)] = 0.04,
    quality: Annotated[int, Field(ge=0, le=100)] = 0,
) -> SuperResolution:
    """Wavelet denoising, EDSR x2 and back to the native size.

    `sigma = 0.04` is the authors' script's; for small perturbations they advise 0.01. Their script also wrote
    JPEG files between the two steps, by accident: `quality = 95` (what matplotlib wrote at the time) does.

    Args:
        weights: weight file of the network, in the public PyTorch version's keys.
        features: channels of the network, as in the weight file (64 in the published one).
        blocks: residual blocks of the network, as in the weight file (16 in the published one).
        sigma: standard deviation of the noise that wavelets take out first, in [0,1] units; 0 leaves
            that step out.
        quality: JPEG quality (1 to 100) of a file between denoising and network; 0 for none.
    """
    net = SuperResolution(features, blocks, sigma=sigma, quality=quality)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="super-resolution",
            build=super_resolution,
            stage="denoise",
            grid={"sigma": [0.01, 0.02, 0.04, 0.06, 0.08]},
            gradient="straight-through",
            cite="Mustafa et al., Image Super-Resolution as a Defense, IEEE TIP 2020 (arXiv 1901.01677)",
            tags=("baseline",),
        )
    ]

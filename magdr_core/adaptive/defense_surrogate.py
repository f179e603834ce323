"""A differentiable stand-in for a defense without gradients, fitted to what it makes of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.adaptive.distillation import fitted, training_images
from magdr_core.adaptive.gradient_paths import Way, around
from magdr_core.adaptive.victim import Target
from magdr_core.components.rng import SampleRng

WIDTH = 24
DEPTH = 4
STEPS = 200

BPDA_FITTED = "bpda-fitted"


class _Net(nn.Module):
    """What the defense changes, from a 11 x 11 neighbourhood of each pixel. `[B,3,H,W]` -> same."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(3, WIDTH, 3), *[(WIDTH, WIDTH, 3)] * (DEPTH - 1), (WIDTH, 3, 3)]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in sizes)

    def forward(self, x: Tensor) -> Tensor:
        h = 2 * x - 1
        for layer in self.layers[:-1]:
            h = F.leaky_relu(layer(h), 0.1)
        return x + self.layers[-1](h)


class Reproduction:
    """BPDA (Athalye et al., ICML 2018) whose backward pass is a network's that does what the defense does.

    Attributes:
        error: RMS over pixels between the defense and the network on the images of the fit, and what the
            identity's would be, both in [0,1] units.
    """

    def __init__(self, net: nn.Module, error: tuple[float, float]) -> None:
        self.net, self.error = net, error

    def way(self, target: Target) -> Way:
        """The defense's values, the network's gradient."""

        def value(x: Tensor, draw: SampleRng) -> Tensor:
            return around(target, x, self.net(x), draw)

        return Way(BPDA_FITTED, value, True)


def reproduce(target: Target) -> Reproduction:
    """Fit a network to the target's defense, on the target's faces, which nobody attacks afterwards.

    The pairs are of clean and attacked faces, of attacks scaled down, and of noise; of a random defense each
    has a draw of its own. The result depends on nothing but the target.
    """
    images = training_images(target)
    with torch.no_grad():
        draws = target.forks(0)
        pairs = [(x, target.restored(x, next(draws, target.rng))) for x in images]
    x, wanted = (torch.cat(side) for side in zip(*pairs, strict=True))
    net = fitted(_Net, lambda net, rows: (net(x[rows]) - wanted[rows]).abs().mean(), x, STEPS)
    with torch.no_grad():
        off = [float((a - wanted).square().mean().sqrt()) for a in (net(x), x)]
    return Reproduction(net, (off[0], off[1]))

"""A differentiable stand-in for a detector without gradients, distilled from its scores."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.adaptive.distillation import fitted, training_images
from magdr_core.adaptive.gradient_paths import Way
from magdr_core.adaptive.victim import Target
from magdr_core.components.batch import Condition, VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.functional import project_linf

WIDTH = 24
STEPS = 400

ROUNDS = 2
"""Fits: on scaled attacks, then also on what evades the first fit."""

EVADING_STEPS = 10


class _Net(nn.Module):
    """From the image, what G made of it and their difference to a standardised score, `[B]`."""

    def __init__(self, conditions: int) -> None:
        super().__init__()
        sizes = (9 + conditions, WIDTH, 2 * WIDTH, 3 * WIDTH)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(sizes))
        self.head = nn.Linear(2 * sizes[-1], 1)

    def forward(self, x: Tensor, y: Tensor, c: Condition) -> Tensor:
        planes = _told(x, c)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        # Perturbations are small: their scale is what the difference is seen in.
        h = torch.cat([2 * x - 1, 2 * y - 1, 4 * (y - x), planes], 1)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.1)
        pooled = torch.cat([h.mean((2, 3)), h.square().mean((2, 3)).add(1e-8).sqrt()], 1)
        return self.head(pooled)[:, 0]


class Surrogate:
    """Score of the image and of G's output on it, in the detector's units."""

    def __init__(self, net: _Net, mean: float, spread: float) -> None:
        self.net, self.mean, self.spread = net, mean, spread

    def __call__(self, x: Tensor, y: Tensor, c: Condition) -> Tensor:
        """The stand-in's score of images and of G's outputs on them, `[B,3,H,W]` both: `[B]`."""
        return self.mean + self.spread * self.net(x, y, c)

    def way(self, target: Target) -> Way:
        def value(x: Tensor, draw: SampleRng) -> Tensor:
            return self(x, target.G(x, target.c), target.c)

        return Way("surrogate", value, False)


def distil(target: Target) -> Surrogate:
    """Fit a stand-in to the detector on the target's faces, which nobody attacks afterwards.

    The result depends on nothing but the target: initial weights and batches have a seed of their own.
    """
    images = training_images(target)
    for _ in range(ROUNDS - 1):
        images += _evading(_fit(target, images), target)
    return _fit(target, images)


def _fit(target: Target, images: list[Tensor]) -> Surrogate:
    with torch.no_grad():
        scores = torch.cat([target.score(x, next(target.forks(0))) for x in images])
        outputs = torch.cat([target.G(x, target.c) for x in images])
    x, c = torch.cat(images), target.c.repeat(len(images))
    mean, spread = float(scores.mean()), max(float(scores.std()), 1e-6)
    wanted = (scores - mean) / spread

    def loss(net: _Net, rows: Tensor) -> Tensor:
        return F.smooth_l1_loss(net(x[rows], outputs[rows], c[rows]), wanted[rows])

    net = fitted(lambda: _Net(_told(x, c).shape[1]), loss, x, STEPS)
    return Surrogate(net, mean, spread)


def _told(x: Tensor, c: Condition) -> Tensor:
    """What of the condition the stand-in sees, `[B,C]`: a vector. Of others, a text's 60,000 numbers, say, it
    has what G made of them."""
    return c.values if isinstance(c, VectorCondition) else x.new_zeros(len(x), 0)


def _evading(surrogate: Surrogate, target: Target) -> list[Tensor]:
    """Images that the stand-in takes for clean ones, from the attacked ones on: half way and at the end."""
    way, x, found = surrogate.way(target), target.oblivious, []
    for number in range(1, EVADING_STEPS + 1):
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            seen = target.sent(target.inside(x), target.rng)
            (slope,) = torch.autograd.grad(way.value(seen, target.rng).sum(), x)
        x = project_linf(x.detach() - target.eps / 5 * slope.sign(), target.x, target.eps)
        if number in (EVADING_STEPS // 2, EVADING_STEPS):
            found.append(target.sent(target.inside(x).detach(), target.rng))
    return found

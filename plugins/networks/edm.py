"""A pixel diffusion model in EDM's form, small, and its samplers.

Karras, Aittala, Aila and Laine, Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS
2022 (arXiv 2206.00364): a denoiser D(u; s) of pictures u in [-1,1] with Gaussian noise of standard deviation
s, preconditioned by Eq. 7 and Table 1; the probability-flow ODE in the variance-exploding form, on the grid
of Eq. 5; stochastic sampling by Algorithm 2.

A perturbation of 8/255 is .06 of [-1,1]: purifying never needs noise above .5, and the model knows none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from magdr_core.api import Field
from magdr_core.functional import clamp_inclusive

SIGMA_DATA = 0.5
SIGMA_MIN, SIGMA_MAX = 0.02, 0.5
"""The noise that the model is trained on, standard deviations in [-1,1] units."""

RHO = 7.0
"""Exponent of the grid of noise levels (Eq. 5)."""

FREQUENCIES = (0.25, 0.5, 1.0, 2.0)
"""Of the sinusoids by which the network is told ln(s) / 4, in cycles per unit."""

DETAIL = 3.0
"""Standard deviations of the noise at which fine detail is bounded, smoothly: more than that is an edge."""

Sigma = Annotated[float, Field(gt=0, le=SIGMA_MAX / 2)]
"""A noise level in [0,1] units."""

Steps = Annotated[int, Field(ge=1, le=100)]
"""Passes of the network."""

Width = Annotated[int, Field(ge=6, le=384, multiple_of=6)]
"""Channels of the first level."""

Draw = Callable[[], Tensor]
"""Gives standard normal noise in the shape of the pictures, other noise each time."""


class Level(nn.Module):
    """Two 3x3 convolutions; between them the noise level scales and shifts each channel."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inp, out, 3, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, y: Tensor, film: Tensor) -> Tensor:
        scale, shift = film[:, :, None, None].chunk(2, 1)
        y = self.first(y) * (1 + scale) + shift
        return F.leaky_relu(self.second(F.leaky_relu(y, 0.1)), 0.1)


class Denoiser(nn.Module):
    """D(u; s): a three-level U-Net on squares of 2x2 pixels (as FFDNet's), without norms.

    Beside the picture it is shown the fine detail in units of the noise, which is mostly what it has to find:
    a network that has to amplify it by itself, by 1/s, learns that slowly.

    Args:
        width: channels of the first level; 4/3 and twice as many on the next two.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, width * 4 // 3, 2 * width]
        self.down = nn.ModuleList(Level(i, o) for i, o in zip([24, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(Level(widths[i] + widths[i + 1], widths[i]) for i in (1, 0))
        self.head = nn.Conv2d(width, 12, 3, padding=1)
        self.film_widths = [2 * w for w in (*widths, widths[1], widths[0])]
        self.told = nn.Linear(2 * len(FREQUENCIES), 64)
        self.films = nn.Linear(64, sum(self.film_widths))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.1)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.head.weight *= 0.05
            self.films.weight *= 0.1
            self.films.bias.zero_()

    def denoise(self, u: Tensor, s: Tensor) -> Tensor:
        """The expected clean pictures (Eq. 7).

        Args:
            u: `[B,3,H,W]`, noisy, in [-1,1] units.
            s: `[B]`, the noise's standard deviations in those units.

        Returns:
            `[B,3,H,W]`, not clamped.
        """
        s = s[:, None, None, None]
        total = s.square() + SIGMA_DATA**2
        skip, out, inp = SIGMA_DATA**2 / total, s * SIGMA_DATA / total.sqrt(), total.rsqrt()
        shown = torch.cat([inp * u, DETAIL * torch.tanh(_detail(u) / (DETAIL * s))], 1)
        return skip * u + out * self._net(shown, s[:, 0, 0, 0]).float()

    def _net(self, shown: Tensor, s: Tensor) -> Tensor:
        height, width = shown.shape[2:]
        y = F.pixel_unshuffle(F.pad(shown, (0, -width % 8, 0, -height % 8), mode="replicate"), 2)
        films = self._films(s)
        skips = []
        for i, level in enumerate(self.down):
            y = level(F.avg_pool2d(y, 2) if i else y, films[i])
            skips.append(y)
        y = skips.pop()
        for level, film in zip(self.up, films[len(self.down) :], strict=True):
            y = level(torch.cat([F.interpolate(y, scale_factor=2, mode="nearest"), skips.pop()], 1), film)
        return F.pixel_shuffle(self.head(y), 2)[..., :height, :width]

    def _films(self, s: Tensor) -> list[Tensor]:
        """Scales and shifts of each level, `[B,2C]`."""
        turns = 2 * math.pi * (s.log() / 4)[:, None] * s.new_tensor(FREQUENCIES)
        told = F.leaky_relu(_linear(self.told, torch.cat([turns.cos(), turns.sin()], 1)), 0.1)
        return list(_linear(self.films, told).split(self.film_widths, 1))


def _linear(layer: nn.Linear, y: Tensor) -> Tensor:
    """The layer's `[B,C]`, summed by hand: a matrix product gives other last bits in another batch."""
    return (layer.weight * y[:, None]).sum(2) + layer.bias


def _detail(u: Tensor) -> Tensor:
    """What a 3x3 mean takes away, `[B,3,H,W]` -> same."""
    padded = F.pad(u, (1, 1, 1, 1), mode="replicate")
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return u - (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def noise_levels(sigma: float, steps: int) -> list[float]:
    """`steps` levels from `sigma` down to the least that the model knows, and 0 (Eq. 5)."""
    if steps == 1 or sigma <= SIGMA_MIN:
        return [sigma, 0.0]
    first, last = sigma ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [*((first + i / (steps - 1) * (last - first)) ** RHO for i in range(steps)), 0.0]


def reverse(
    denoise: Callable[[Tensor, Tensor], Tensor],
    u: Tensor,
    sigma: float,
    steps: int,
    *,
    churn: float = 0.0,
    noise: Draw | None = None,
    checkpointed: bool = True,
) -> Tensor:
    """From noise of level `sigma` back to a picture, by Euler steps of Algorithm 2; of the ODE without churn.

    Args:
        denoise: `D(u, s)`.
        u: `[B,3,H,W]` in [-1,1] units.
        sigma: in those units.
        steps: passes of the network.
        churn: S_churn: how much fresh noise is added on the way, the more the nearer to an SDE.
        noise: for the churn.
        checkpointed: with gradients keep the pictures between steps alone, and compute each step once more on
            the way back. The gradient is the same.

    Returns:
        `[B,3,H,W]`, not clamped.
    """

    def step(u: Tensor, now: float, then: float) -> Tensor:
        clean = denoise(u, u.new_full((len(u),), now))
        return clean if then == 0.0 else clean + (u - clean) * (then / now)

    gamma = min(churn / steps, math.sqrt(2) - 1)
    for now, then in pairwise(noise_levels(sigma, steps)):
        # The model knows nothing above: Algorithm 2's S_tmax.
        raised = min(now * (1 + gamma), SIGMA_MAX)
        if raised > now:
            assert noise is not None, "churn needs noise"
            u, now = u + math.sqrt(raised**2 - now**2) * noise(), raised
        if checkpointed and torch.is_grad_enabled() and u.requires_grad:
            u = checkpoint(step, u, now, then, use_reentrant=False, preserve_rng_state=False)
        else:
            u = step(u, now, then)
    return u


def as_picture(u: Tensor) -> Tensor:
    """`[B,3,H,W]` in [-1,1] units -> in [0,1]."""
    return clamp_inclusive((u + 1) / 2)

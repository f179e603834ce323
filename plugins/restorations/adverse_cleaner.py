"""AdverseCleaner: many gentle bilateral filters, then guided filters, without any network.

Zhang, AdverseCleaner, 2023 (github.com/lllyasviel/AdverseCleaner): on levels of 255, 64 bilateral filters
(5 x 5 pixels, both scales 8), then 4 guided filters (radius 4, epsilon 16) whose guide is the received
picture. The author's bilateral filter is OpenCV's: a round neighbourhood, and the distance of two colours is
the sum over channels.

A guide that is attacked puts some of the attack back, of which the author warns: `guide = "filtered"` guides
by the filtered picture itself, and `guide = "none"` leaves the second half out.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1

RADIUS = 2
SCALE_SPACE = 8.0
"""In pixels: within the neighbourhood hardly any weight is lost by distance."""

Guide = Literal["input", "filtered", "none"]

_OFFSETS = [
    (dy, dx)
    for dy in range(-RADIUS, RADIUS + 1)
    for dx in range(-RADIUS, RADIUS + 1)
    if 0 < dy * dy + dx * dx <= RADIUS * RADIUS
]


def adverse_cleaner(
    x: Tensor,
    *,
    guide: Guide = "input",
    rounds: Annotated[int, Field(ge=0, le=256)] = 64,
    sigma_color: Annotated[float, Field(gt=0, le=1)] = 8 / 255,
    guided_rounds: Annotated[int, Field(ge=0, le=64)] = 4,
    radius: Annotated[int, Field(ge=1, le=32)] = 4,
    eps: Annotated[float, Field(gt=0, le=1)] = 4 / 255,
) -> Tensor:
    """Bilateral filters, then guided ones: AdverseCleaner. `[B,3,H,W]` in [0,1] -> same.

    `eps` is the square root of the published epsilon of 16, in [0,1] units as `sigma_color`.

    Args:
        guide: what guides the second half: the received picture, the filtered one, or `none`, which
            leaves that half out.
        rounds: bilateral filters, one after the other.
        sigma_color: colour difference, summed over channels, that still counts as similar, in [0,1]
            units.
        guided_rounds: guided filters, one after the other.
        radius: pixels on each side of the middle one in the guided filters' windows.
        eps: contrast below which guided filters smooth differences away, in [0,1] units.
    """
    y = x
    for _ in range(rounds):
        if torch.is_grad_enabled() and y.requires_grad:
            # 64 graphs of 12 neighbours each would take a third of a gigabyte for a picture of 64 pixels.
            y = checkpoint(_bilateral, y, sigma_color, use_reentrant=False, preserve_rng_state=False)
        else:
            y = _bilateral(y, sigma_color)
    if guide == "none":
        return y.clone() if y is x else y
    for _ in range(guided_rounds):
        y = functional.guided_filter(y, radius, eps, x if guide == "input" else None)
    return y.clone() if y is x else y


def _bilateral(x: Tensor, sigma_color: float) -> Tensor:
    """OpenCV's bilateral filter of diameter 5, `[B,3,H,W]` -> same; mirrored about the outermost pixels."""
    height, width = x.shape[2:]
    padded = _mirrored(x)
    total, weights = x, torch.ones_like(x[:, :1])
    for dy, dx in _OFFSETS:
        top, left = RADIUS + dy, RADIUS + dx
        other = padded[..., top : top + height, left : left + width]
        # By channels: a sum over a dimension has other last bits in a batch of another layout.
        r, g, b = (other - x).abs().unbind(1)
        apart = (r + g + b)[:, None]
        near = math.exp(-(dy * dy + dx * dx) / (2 * SCALE_SPACE**2))
        weight = near * torch.exp(apart.square() * (-0.5 / sigma_color**2))
        total, weights = total + weight * other, weights + weight
    mean = total / weights
    # An average leaves [0,1] by its last bit at most, which must not cut its gradient.
    return functional.straight_through(mean.detach().clamp(0, 1), mean)


def _mirrored(x: Tensor) -> Tensor:
    """`c b | a b c | b a`, OpenCV's default border; a side of one pixel is repeated."""
    for dim, sides in ((3, (RADIUS, RADIUS, 0, 0)), (2, (0, 0, RADIUS, RADIUS))):
        if x.shape[dim] > RADIUS:
            x = F.pad(x, sides, mode="reflect")
        else:
            last = max(x.shape[dim] - 1, 0)
            period = max(2 * last, 1)
            places = torch.arange(-RADIUS, x.shape[dim] + RADIUS, device=x.device) % period
            x = x.index_select(dim, torch.minimum(places, period - places) if last else 0 * places)
    return x


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="adverse-cleaner",
            build=stateless(adverse_cleaner),
            stage="denoise",
            grid={"guide": ["input", "none"]},
            gradient="exact",
            cite="Zhang, AdverseCleaner, 2023 (github.com/lllyasviel/AdverseCleaner)",
            tags=("baseline",),
        )
    ]

"""The largest difference inside a soft region (L-infinity, smoothed), and the difference of edges."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.api import Field, MetricSpec, hookimpl, stateless
from magdr_core.functional import in_cache, masked_mean

MAGDR_API = 1

TINY = 1e-12
"""Differences below it count as none: it keeps equal images away from 0 / 0."""


def linf(a: Tensor, b: Tensor, masks: Tensor, *, power: Annotated[float, Field(ge=2, le=64)] = 16) -> Tensor:
    """Smoothed maximum of the absolute difference in each region. `[B,N]` in [0,1].

    With e the largest difference of a pixel's channels and m the mask, the power mean
    `(sum (m e)^p / sum m^p)^(1/p)`: L1's masked mean for p = 1, the largest `m e` for p to infinity, and any
    value that all pixels share is kept. A power mean rather than a log-mean-exp, because the latter has a
    scale of its own: it is a mean for differences well below its temperature and a maximum well above, so
    that weak and strong attacks would be measured by different criteria. The mask takes part in the power
    (Eq. 4 masks the images, then measures), else one strong pixel seen through a mask of 1e-6 would outweigh
    a whole region.

    Args:
        power: exponent of the power mean that stands for the maximum; higher comes closer to it.
    """
    difference = (a - b).abs().amax(1, keepdim=True)
    masked = masks * difference
    # Powers of small numbers underflow, so each region is measured in units of its largest values; the units
    # cancel out, hence take no gradient.
    thickest = masks.detach().amax((-2, -1), keepdim=True).clamp_min(1e-6)
    unit = masked.detach().amax((-2, -1), keepdim=True).clamp_min(TINY)
    powers = (masked / unit).pow(power).sum(-1).sum(-1)
    weights = (masks / thickest).pow(power).sum(-1).sum(-1)
    # Where there is anything, both sums are at least 1; the floors only keep slopes finite where not.
    mean = (powers.clamp_min(1e-6) / weights.clamp_min(1e-6)).pow(1 / power)
    return (unit / thickest)[..., 0, 0] * mean


@in_cache
def gradient(a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference of the image gradients in each region. `[B,N]` in [0,2].

    Gradients are differences of neighbours, across and down; one counts for a region as far as both of its
    pixels lie inside, so that a region's border shows nothing of what is beyond it. Sees lost and added
    edges and texture, and hardly sees a change of colour (Mathieu et al., ICLR 2016, Eq. 6 with alpha 1).
    """
    d = a - b
    across, down = d.diff(dim=-1).abs(), d.diff(dim=-2).abs()
    both_across = torch.minimum(masks[..., 1:], masks[..., :-1])
    both_down = torch.minimum(masks[..., 1:, :], masks[..., :-1, :])
    # Side by side in one image, the missing last column and row with weight 0: one mean over both directions.
    values = torch.cat([F.pad(across, (0, 1)), F.pad(down, (0, 0, 0, 1))], -1)
    weights = torch.cat([F.pad(both_across, (0, 1)), F.pad(both_down, (0, 0, 0, 1))], -1)
    return masked_mean(values, weights)


@hookimpl
def magdr_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(name="linf", build=stateless(linf)),
        MetricSpec(
            name="gradient",
            build=stateless(gradient),
            cite="Mathieu et al., Deep multi-scale video prediction beyond mean square error, ICLR 2016",
        ),
    ]

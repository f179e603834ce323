"""Structural similarity inside soft regions (Wang et al., IEEE TIP 2004)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core.api import Field, MetricSpec, hookimpl, stateless
from magdr_core.functional import masked_mean, ssim_map

MAGDR_API = 1


def ssim(
    a: Tensor, b: Tensor, masks: Tensor, *, sigma: Annotated[float, Field(gt=0.3, le=5)] = 1.5
) -> Tensor:
    """Mask-weighted mean of the SSIM map (11x11 Gaussian). `[B,N]` in [-1,1], 0 where a region is empty.

    Args:
        sigma: standard deviation of the Gaussian window, in pixels.
    """
    return masked_mean(ssim_map(a, b, sigma=sigma), masks)


def dissimilarity(value: Tensor) -> Tensor:
    """`1 - SSIM`, a distance in [0,2]; rounding may put SSIM a hair above 1."""
    return (1.0 - value).clamp_min(0.0)


@hookimpl
def magdr_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(
            name="ssim",
            build=stateless(ssim),
            higher_is_better=True,
            to_distance=dissimilarity,
            cite="Wang et al., Image quality assessment, IEEE TIP 13(4), 2004",
        )
    ]

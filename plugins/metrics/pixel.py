"""Pixel distances inside soft regions: L1, L2 and PSNR."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import MetricSpec, hookimpl, stateless
from magdr_core.functional import masked_mean

MAGDR_API = 1

PSNR_CAP_MSE = 1e-10
"""Equal images get 100 dB instead of infinity."""


def l1(a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference in each region. `[B,3,H,W]` twice and `[B,N,H,W]` -> `[B,N]` in [0,1]."""
    return masked_mean((a - b).abs(), masks)


def l2(a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Root mean square difference in each region. `[B,N]` in [0,1]."""
    # The square root's slope is infinite at 0; the offset keeps gradients finite where images agree.
    return (masked_mean((a - b).square(), masks) + 1e-12).sqrt()


def psnr(a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in each region, in dB for images in [0,1]. `[B,N]`."""
    return -10.0 * torch.log10(masked_mean((a - b).square(), masks).clamp_min(PSNR_CAP_MSE))


def mse_of_psnr(value: Tensor) -> Tensor:
    """The mean squared error that a PSNR means: a distance."""
    return torch.pow(10.0, -value / 10.0)


@hookimpl
def magdr_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(name="l1", build=stateless(l1)),
        MetricSpec(name="l2", build=stateless(l2)),
        MetricSpec(name="psnr", build=stateless(psnr), higher_is_better=True, to_distance=mse_of_psnr),
    ]

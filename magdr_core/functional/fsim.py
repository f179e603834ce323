"""Feature similarity (FSIM): where two images have the same edges, seen through phase congruency.

Frequencies are those of the discrete Fourier transform at every size; the published Matlab code divides by
one pixel less at odd sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import check_images, check_pair
from magdr_core.functional.colour import luma
from magdr_core.functional.eightbit import clamp_inclusive

SCALES = 4
ORIENTATIONS = 4
SHORTEST = 6.0
"""Wavelength of the finest log-Gabor filter in pixels; each further scale doubles it."""
BANDWIDTH = 0.55
"""Sigma of a log-Gabor filter over its centre frequency."""
SPREAD = math.pi / ORIENTATIONS / 1.2
"""Sigma of a filter's angular Gaussian."""
NOISE_SIGMAS = 2.0
"""Energy below the noise's mean plus so many of its deviations does not count (k)."""
NOISE_SCALING = 1.7
"""Kovesi's empirical divisor of that threshold."""
T_PHASE = 0.85
T_GRADIENT = 160.0
TINY = 1e-4


@dataclass(frozen=True, eq=False)
class EdgeMaps:
    """What FSIM compares, of one batch of images.

    Attributes:
        phase: `[B,H',W']`, phase congruency, about [0,1].
        gradient: `[B,H',W']`, Scharr gradient magnitude of the luma in 8-bit levels.
    """

    phase: Tensor
    gradient: Tensor


def fsim(a: Tensor, b: Tensor) -> Tensor:
    """Feature similarity of the luma of every image, 1 for equal images, symmetric.

    Args:
        a, b: `[B,3,H,W]` in [0,1], at least 16 pixels a side. As published, larger images are first averaged
            down to about 256 pixels.

    Returns:
        `[B]` in [0,1].

    Raises:
        ValueError: shapes differ, not three channels, or too small.

    Source: Zhang, Zhang, Mou, Zhang, FSIM, IEEE TIP 20(8), 2011; phase congruency after Kovesi, Videre 1(3),
    1999. T1 .85, T2 160, weights max PC; 4 scales and orientations. The chromatic variant (FSIMc) is another
    measure.
    """
    check_pair(a, b)
    return fsim_of_maps(edge_maps(a), edge_maps(b))


def fsim_of_maps(a: EdgeMaps, b: EdgeMaps) -> Tensor:
    """:func:`fsim` of images whose :func:`edge_maps` are there already, `[B]`."""
    alike = _ratio(a.phase, b.phase, T_PHASE) * _ratio(a.gradient, b.gradient, T_GRADIENT)
    weight = torch.maximum(a.phase, b.phase)
    # Nothing but flat areas: no pixel weighs more than another.
    empty = weight.sum(-1).sum(-1)[:, None, None] < TINY
    weight = torch.where(empty, 1.0, weight)
    return clamp_inclusive((alike * weight).sum(-1).sum(-1) / weight.sum(-1).sum(-1))


def edge_maps(x: Tensor) -> EdgeMaps:
    """Phase congruency and gradient of images `[B,3,H,W]` in [0,1]; see :func:`fsim` for what is raised."""
    check_images(x, channels=3)
    if min(x.shape[-2:]) < 16:
        raise ValueError(f"images of {x.shape[-2]}x{x.shape[-1]} are too small for FSIM, 16 pixels at least")
    levels = 255.0 * luma(x)
    factor = max(1, round(min(x.shape[-2:]) / 256))
    if factor > 1:
        levels = F.avg_pool2d(levels, factor)
    return EdgeMaps(phase_congruency(levels[:, 0]), _scharr(levels[:, 0]))


def phase_congruency(levels: Tensor) -> Tensor:
    """How far the Fourier components agree in phase at every pixel: `[B,H,W]` in 8-bit levels -> the same
    shape, about [0,1], 0 in flat areas (Kovesi 1999, as in FSIM's reference code)."""
    spectrum = torch.fft.fft2(levels)
    filters, noise = _bank(levels.shape[-2], levels.shape[-1])
    energies, amplitudes = torch.zeros_like(levels), torch.zeros_like(levels)
    # One orientation at a time: all responses at once would not stay in a CPU's cache.
    for bank, gain in zip(filters.to(levels, non_blocking=True), noise, strict=True):
        response = torch.fft.ifft2(spectrum[:, None] * bank)
        even, odd = response.real.contiguous(), response.imag.contiguous()
        amplitude = (even * even).addcmul_(odd, odd).sqrt_()
        mean_even, mean_odd = even.sum(1, keepdim=True), odd.sum(1, keepdim=True)
        length = (mean_even.square() + mean_odd.square()).sqrt()
        unit_even, unit_odd = mean_even / (length + TINY), mean_odd / (length + TINY)
        across = (even * unit_odd).addcmul_(odd, unit_even, value=-1).abs_().sum(1)
        energy = (mean_even * unit_even + mean_odd * unit_odd)[:, 0] - across
        # The finest scale is mostly noise; the median of a Rayleigh variable gives its mean square.
        power = _median(amplitude[:, 0].square()) / math.log(2.0)
        threshold = (power.sqrt() * gain)[:, None, None]
        energies = energies + (energy - threshold).clamp_min(0.0)
        amplitudes = amplitudes + amplitude.sum(1)
    return energies / amplitudes.clamp_min(TINY)


@lru_cache(maxsize=8)
def _bank(height: int, width: int) -> tuple[Tensor, list[float]]:
    """Log-Gabor filters `[O,S,H,W]` of one half plane, and per orientation the threshold that noise of unit
    power in the finest filter asks for."""
    v = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    u = torch.fft.fftfreq(width, dtype=torch.float64)[None]
    radius = (u.square() + v.square()).sqrt()
    radius[0, 0] = 1.0
    angle = torch.atan2(-v, u)
    low_pass = 1.0 / (1.0 + (radius / 0.45) ** 30)  # Butterworth, order 15: no ringing from the corners
    radial = []
    for scale in range(SCALES):
        centre = 1.0 / (SHORTEST * 2.0**scale)
        gabor = torch.exp(-((radius / centre).log() ** 2) / (2 * math.log(BANDWIDTH) ** 2)) * low_pass
        gabor[0, 0] = 0.0
        radial.append(gabor)
    filters, gains = [], []
    for orientation in range(ORIENTATIONS):
        turned = angle - orientation * math.pi / ORIENTATIONS
        apart = torch.atan2(turned.sin(), turned.cos())
        bank = torch.stack(radial) * torch.exp(-(apart**2) / (2 * SPREAD**2))
        spatial = torch.fft.ifft2(bank).real * math.sqrt(height * width)
        tau = math.sqrt(float(spatial.sum(0).square().sum()) / float(bank[0].square().sum()))
        mean, deviation = math.sqrt(math.pi / 2), math.sqrt(2 - math.pi / 2)
        gains.append(tau * (mean + NOISE_SIGMAS * deviation) / NOISE_SCALING)
        filters.append(bank)
    return torch.stack(filters).float(), gains


def forget_filters() -> None:
    """Make the filters again when they are next used: whoever could reach memory may have edited them."""
    _bank.cache_clear()


def _median(x: Tensor) -> Tensor:
    """Median of every `[H,W]`, the mean of the two middle ones where their number is even."""
    flat = x.flatten(1)
    n = flat.shape[1]
    middle = flat.kthvalue((n + 1) // 2, 1).values
    return middle if n % 2 else (middle + flat.kthvalue(n // 2 + 1, 1).values) / 2


def _scharr(levels: Tensor) -> Tensor:
    """Gradient magnitude of `[B,H,W]`, black beyond the border as in the reference code."""
    x = F.pad(levels, (1, 1, 1, 1))
    rows = 3 * x[:, :-2] + 10 * x[:, 1:-1] + 3 * x[:, 2:]
    columns = 3 * x[..., :-2] + 10 * x[..., 1:-1] + 3 * x[..., 2:]
    dx, dy = (rows[..., 2:] - rows[..., :-2]) / 16, (columns[:, 2:] - columns[:, :-2]) / 16
    return (dx.square() + dy.square()).sqrt()


def _ratio(a: Tensor, b: Tensor, constant: float) -> Tensor:
    return (2 * a * b + constant) / (a.square() + b.square() + constant)

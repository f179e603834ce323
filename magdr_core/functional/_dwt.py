"""Daubechies' orthogonal wavelet transforms, batched.

The transform is the separable, decimated one with mirrored borders and slightly more coefficients than
pixels (PyWavelets' mode `symmetric`), so that any size is reconstructed perfectly. Filters are sums of
strided slices, not convolutions, for the reasons given in `_common`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magdr_core.functional._common import check_images, symmetric_pad

Bands = tuple[Tensor, Tensor, Tensor]
"""The details of one level: rows high, columns high, both high; `[B,C,h,w]` each."""

# Daubechies, Ten Lectures on Wavelets (1992), table 6.1: the scaling filters of 1 to 4 vanishing moments.
_SCALING: dict[str, tuple[float, ...]] = {
    "db1": (math.sqrt(0.5), math.sqrt(0.5)),
    "db2": (0.48296291314453416, 0.8365163037378079, 0.2241438680420134, -0.12940952255126037),
    "db3": (
        0.33267055295008263,
        0.8068915093110925,
        0.45987750211849154,
        -0.13501102001025458,
        -0.08544127388202666,
        0.03522629188570953,
    ),
    "db4": (
        0.2303778133088965,
        0.7148465705529157,
        0.6308807679298589,
        -0.027983769416859854,
        -0.18703481171909309,
        0.030841381835560764,
        0.0328830116668852,
        -0.010597401785069032,
    ),
}
WAVELETS = tuple(_SCALING)


def filters_of(wavelet: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The scaling filter and its mirror, the wavelet filter; both of the synthesis."""
    if wavelet not in _SCALING:
        raise ValueError(f"wavelet must be one of {', '.join(WAVELETS)}, got {wavelet!r}")
    low = _SCALING[wavelet]
    return low, tuple((-1) ** t * value for t, value in enumerate(reversed(low)))


def _analyse(x: Tensor, taps: tuple[float, ...], dim: int) -> Tensor:
    """Filter a mirrored border along with the image and keep every second sample."""
    length, size = len(taps), x.shape[dim]
    count = (size + length - 1) // 2
    border = (length - 2, 2 * count - size)
    padded = symmetric_pad(x, *border, 0, 0) if dim == -1 else symmetric_pad(x, 0, 0, *border)

    def every_second(start: int) -> Tensor:
        part = padded.narrow(dim, start, 2 * count - 1)
        return part[..., ::2] if dim == -1 else part[..., ::2, :]

    out = every_second(0) * taps[0]
    for t in range(1, length):
        out = out.add(every_second(t), alpha=taps[t])
    return out


def _synthesise(
    low: Tensor, high: Tensor, filters: tuple[tuple[float, ...], tuple[float, ...]], dim: int, size: int
) -> Tensor:
    """The inverse of :func:`_analyse` with both filters: `size` samples along `dim`."""
    length = len(filters[0])
    pairs = low.shape[dim] - length // 2 + 1

    def phase(start: int) -> Tensor:
        total: Tensor | None = None
        for taps, band in zip(filters, (low, high), strict=True):
            for j in range(length // 2):
                part = band.narrow(dim, j, pairs)
                tap = taps[start - 2 * j]
                total = part * tap if total is None else total.add(part, alpha=tap)
        assert total is not None
        return total

    joined = torch.stack([phase(length - 2), phase(length - 1)], dim).flatten(dim - 1, dim)
    return joined.narrow(dim, 0, size)


def wavelet_transform(x: Tensor, levels: int, wavelet: str = "db1") -> tuple[Tensor, list[Bands]]:
    """Separable wavelet transform, `[B,C,H,W]` of any size.

    Args:
        x: `[B,C,H,W]`.
        levels: >= 1.
        wavelet: `"db1"` (Haar) to `"db4"`.

    Returns:
        the approximation and the details of each level, finest first. One level takes n samples to
        `(n + taps - 1) // 2`; all are those of `pywt.wavedec2(mode="symmetric")`.

    Raises:
        ValueError: wrong shape, wavelet or levels.

    Source: Mallat, IEEE PAMI 11(7), 1989; Daubechies, Ten Lectures on Wavelets, 1992.
    """
    check_images(x)
    if levels != int(levels) or levels < 1:
        raise ValueError(f"levels must be a positive integer, got {levels}")
    low, high = filters_of(wavelet)
    details = []
    for _ in range(levels):
        smooth_rows, rough_rows = _analyse(x, low, -2), _analyse(x, high, -2)
        details.append(
            (_analyse(rough_rows, low, -1), _analyse(smooth_rows, high, -1), _analyse(rough_rows, high, -1))
        )
        x = _analyse(smooth_rows, low, -1)
    return x, details


def inverse_wavelet_transform(
    smooth: Tensor, details: list[Bands], size: tuple[int, int], wavelet: str = "db1"
) -> Tensor:
    """The image whose :func:`wavelet_transform` is this; exact up to rounding.

    Args:
        smooth: `[B,C,h,w]`, the approximation of the last level.
        details: three bands `[B,C,h,w]` for each level, finest first.
        size: (height, width) of the image.
        wavelet: the one that the transform was made with.

    Returns:
        `[B,C,height,width]`.
    """
    filters = filters_of(wavelet)
    # A level was made from the level above it, whose own size its parent's formula gives.
    sizes = [size]
    for _ in details[1:]:
        height, width = sizes[-1]
        taps = len(filters[0])
        sizes.append(((height + taps - 1) // 2, (width + taps - 1) // 2))
    for (high_low, low_high, high_high), (height, width) in zip(
        reversed(details), reversed(sizes), strict=True
    ):
        smooth_rows = _synthesise(smooth, low_high, filters, -1, width)
        rough_rows = _synthesise(high_low, high_high, filters, -1, width)
        smooth = _synthesise(smooth_rows, rough_rows, filters, -2, height)
    return smooth

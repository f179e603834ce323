"""Shrinkage of transform coefficients: wavelets and overlapping cosine blocks."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from magdr_core import functional
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless

MAGDR_API = 1

Wavelet = Literal["db1", "db2", "db3", "db4"]
Levels = Annotated[int, Field(ge=1, le=8)]
Shifts = Annotated[int, Field(ge=1, le=8)]


def wavelet(
    x: Tensor,
    *,
    sigma: Annotated[float, Field(ge=0, le=1)] = 0.04,
    levels: Levels = 3,
    family: Wavelet = "db1",
    shifts: Shifts = 2,
) -> Tensor:
    """Wavelet denoising with BayesShrink (Chang et al., IEEE TIP 2000); sigma 0 estimates the noise.

    Averaged over `shifts`^2 placings of the image on the wavelets' grid. `[B,3,H,W]` -> same.

    Args:
        sigma: standard deviation of the noise, in [0,1] units; 0 estimates it for each picture.
        levels: scales of the wavelet transform; each halves the resolution.
        family: Daubechies wavelet, by its number of vanishing moments; `db1` is Haar's.
        shifts: placings of the picture on the wavelets' grid along each axis, which are averaged.
    """
    return functional.average_over_shifts(
        x,
        lambda y: functional.wavelet_denoise(y, sigma=sigma or None, levels=levels, wavelet=family),
        shifts,
    )


def wavelet_threshold(
    x: Tensor,
    *,
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.1,
    levels: Levels = 3,
    family: Wavelet = "db1",
    mode: Literal["hard", "soft"] = "hard",
    shifts: Shifts = 2,
) -> Tensor:
    """Wavelet details below one fixed threshold dropped (Donoho and Johnstone, 1994).

    Averaged over `shifts`^2 placings of the image on the wavelets' grid. `[B,3,H,W]` -> same.

    Args:
        threshold: size below which a wavelet coefficient is dropped, in [0,1] units.
        levels: scales of the wavelet transform; each halves the resolution.
        family: Daubechies wavelet, by its number of vanishing moments; `db1` is Haar's.
        mode: `hard` keeps larger coefficients as they are, `soft` shortens them by the threshold.
        shifts: placings of the picture on the wavelets' grid along each axis, which are averaged.
    """
    return functional.average_over_shifts(
        x,
        lambda y: functional.wavelet_threshold(y, threshold, levels=levels, wavelet=family, mode=mode),
        shifts,
    )


# Blocks of 6 clean as well as the paper's 8 at the faces' size, in half the time.
def dct(
    x: Tensor,
    *,
    threshold: Annotated[float, Field(gt=0, le=2)] = 0.15,
    block: Annotated[int, Field(ge=2, le=16)] = 6,
) -> Tensor:
    """Small cosine coefficients of all overlapping blocks dropped (Yu and Sapiro, IPOL 2011).

    Args:
        threshold: size below which a cosine coefficient is dropped, in [0,1] units of an orthonormal
            transform.
        block: side of the blocks, in pixels.
    """
    return functional.dct_threshold(x, threshold, block)


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="wavelet",
            build=stateless(wavelet),
            stage="denoise",
            grid={"sigma": [0.02, 0.04, 0.06]},
            gradient="exact",
            cite="Chang, Yu, Vetterli, Adaptive wavelet thresholding, IEEE TIP 9(9), 2000",
        ),
        RestorationSpec(
            name="wavelet-threshold",
            build=stateless(wavelet_threshold),
            stage="denoise",
            grid={"threshold": [0.06, 0.1, 0.14]},
            gradient="exact",
            cite="Donoho, Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 81(3), 1994",
        ),
        RestorationSpec(
            name="dct",
            build=stateless(dct),
            stage="denoise",
            grid={"threshold": [0.1, 0.15, 0.2]},
            gradient="exact",
            cite="Yu, Sapiro, DCT image denoising, IPOL 1, 2011",
        ),
    ]

"""Baseline JPEG, coded and decoded, as batched differentiable torch.

Only what loses information is restated (ITU-T T.81: colour transform, chroma subsampling, DCT, quantisation,
and back); entropy coding loses nothing and is left out. The integer roundings follow libjpeg's, so the result
is what an ordinary encoder and decoder make of the image, up to single levels where libjpeg's fixed-point DCT
rounds otherwise.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from magdr_core.functional._common import check_images
from magdr_core.functional.constants import constant
from magdr_core.functional.eightbit import clamp_inclusive, straight_through

Subsampling = Literal["4:2:0", "4:4:4"]
Gradient = Literal["soft", "straight-through", "none"]

SOFTNESS = 0.8
"""How far the slope of a soft quantiser goes from 1: it is 1 - SOFTNESS where a coefficient is a whole number
of steps, and 1 + SOFTNESS where it is about to become another one."""

# ITU-T T.81, tables K.1 and K.2.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)


def quantisation_tables(quality: int) -> tuple[list[list[int]], list[list[int]]]:
    """The luminance and chrominance tables of a quality from 1 to 100, scaled as libjpeg scales them.

    Returns:
        two 8x8 lists of integers in 1..255, row = vertical frequency.

    Raises:
        ValueError: quality is not an integer in 1..100.
    """
    if quality != int(quality) or not 1 <= quality <= 100:
        raise ValueError(f"quality must be an integer from 1 to 100, got {quality}")
    quality = int(quality)
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality

    def scaled(table: tuple[tuple[int, ...], ...]) -> list[list[int]]:
        return [[min(max((value * percent + 50) // 100, 1), 255) for value in row] for row in table]

    return scaled(_LUMINANCE), scaled(_CHROMINANCE)


# The DCT of 8 samples, sqrt(8) times the orthonormal one: rows 0 and 4 are then exactly +-1, so that integers
# built from them (the mean of a block, above all) fall on the right side of a tie.
_DCT = [[math.sqrt(2) * math.cos((2 * k + 1) * u * math.pi / 16) for k in range(8)] for u in range(8)]
_DCT[0] = [1.0] * 8
_DCT[4] = [1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0]


def _round(x: Tensor, offset: float = 0.5) -> Tensor:
    """floor(x + offset), with the gradient of x."""
    return straight_through(torch.floor(x.detach() + offset), x)


def _quantised(x: Tensor, soft: bool) -> Tensor:
    """Round with ties away from zero (as libjpeg's quantiser does), with the gradient of x or a soft stair.

    Most coefficients are dropped, whatever a small perturbation does to them. The gradient of x spends the
    perturbation on those; a staircase's, on those that it can bring over the next edge.
    """
    value = x.detach()
    rounded = value.sign() * torch.floor(value.abs() + 0.5)
    if not soft:
        return straight_through(rounded, x)
    slope = 1 - SOFTNESS * torch.cos(2 * math.pi * (value - rounded))
    return straight_through(rounded, slope * x)


def _extend(x: Tensor, right: int, bottom: int) -> Tensor:
    """Repeat the last column and row."""
    if right:
        x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], right)], -1)
    if bottom:
        x = torch.cat([x, x[..., -1:, :].expand(*x.shape[:-2], bottom, x.shape[-1])], -2)
    return x


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """RGB levels `[B,3,H,W]` to integer luma `[B,1,H,W]` and chroma `[B,2,H,W]`, all in 0..255."""
    # libjpeg's 16-bit fixed-point factors; float32 holds all these sums exactly. Adding just under a half to
    # the chroma keeps it from reaching 256.
    red, green, blue = rgb.unbind(1)
    luma = (red * 19595 + green * 38470 + blue * 7471) / 65536
    cb = (blue * 32768 - red * 11059 - green * 21709) / 65536 + 128
    cr = (red * 32768 - green * 27439 - blue * 5329) / 65536 + 128
    chroma = torch.stack([cb, cr], 1)
    return _round(luma).unsqueeze(1), _round(chroma, 32767 / 65536)


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Luma `[B,1,H,W]` and chroma `[B,2,H,W]` levels to RGB levels, clamped to 0..255."""
    y, (cb, cr) = luma.squeeze(1), (chroma - 128).unbind(1)
    red = y + cr * (91881 / 65536)
    green = y - (cb * 22554 + cr * 46802) / 65536
    blue = y + cb * (116130 / 65536)
    return clamp_inclusive(_round(torch.stack([red, green, blue], 1)), 0.0, 255.0)


def _halve(chroma: Tensor) -> Tensor:
    """Mean of 2x2 pixels; the rounding alternates between columns, so that it has no bias on average."""
    rows = chroma[..., 0::2, :] + chroma[..., 1::2, :]
    total = rows[..., 0::2] + rows[..., 1::2]
    column = torch.arange(total.shape[-1], device=total.device)
    bias = 1.0 + (column % 2).to(total.dtype)
    return straight_through(torch.floor((total.detach() + bias) / 4), total / 4)


def _double(chroma: Tensor) -> Tensor:
    """Twice the size by libjpeg's triangle filter: 3/4 of the nearer sample and 1/4 of the farther one."""
    p = _extend(chroma, 1, 1).flip(-1, -2)
    p = _extend(p, 1, 1).flip(-1, -2)
    near = 3 * p[..., 1:-1, :]
    rows = torch.stack([near + p[..., :-2, :], near + p[..., 2:, :]], -2).flatten(-3, -2)
    near = 3 * rows[..., 1:-1]
    left, right = (near + rows[..., :-2]) / 16, (near + rows[..., 2:]) / 16
    return torch.stack([_round(left, 8 / 16), _round(right, 7 / 16)], -1).flatten(-2)


def _code(plane: Tensor, table: list[list[int]], soft: bool) -> Tensor:
    """Quantise the DCT of every 8x8 block: levels `[B,C,8m,8n]` in, decoded levels out, 0..255."""
    batch, channels, height, width = plane.shape
    # float64: TF32 and autocast leave it alone, and one coefficient on the wrong side of a tie is a visible
    # difference between two batches or two devices.
    dct = constant(_DCT, plane.device, torch.float64)
    # As 64x64 matrices on flattened blocks: many times faster than batches of 8x8 products.
    same = torch.eye(8, dtype=torch.float64, device=plane.device)
    rows, columns = torch.kron(same, dct), torch.kron(dct, same)
    step = constant(table, plane.device, torch.float64).flatten()
    split = plane.reshape(batch, channels, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    blocks = split.reshape(-1, 64).double() - 128
    # libjpeg computes in integers: two fractional bits between the passes, coefficients in eighths.
    eighths = _round(_round(blocks @ rows.T * 4) @ columns.T / 4)
    dequantised = _quantised(eighths / (8 * step), soft) * step
    decoded = (_round(dequantised @ columns * 4) @ rows / 32).to(plane.dtype) + 128
    joined = decoded.reshape(batch, channels, height // 8, width // 8, 8, 8).permute(0, 1, 2, 4, 3, 5)
    return clamp_inclusive(_round(joined.reshape(batch, channels, height, width)), 0.0, 255.0)


def _code_any_size(plane: Tensor, table: list[list[int]], soft: bool) -> Tensor:
    height, width = plane.shape[-2:]
    return _code(_extend(plane, -width % 8, -height % 8), table, soft)[..., :height, :width]


def jpeg(
    x: Tensor,
    quality: int,
    *,
    subsampling: Subsampling = "4:2:0",
    gradient: Gradient = "soft",
) -> Tensor:
    """What is left of the images after JPEG of the given quality.

    Args:
        x: `[B,3,H,W]` RGB in [0,1], any size (the last row and column are repeated, as encoders do).
        quality: 1..100, meaning what it means in libjpeg and Pillow.
        subsampling: `"4:2:0"` (half the chroma resolution, the usual default) or `"4:4:4"`.
        gradient: `"straight-through"` treats every rounding as the identity in the backward pass and
            differentiates the rest (colour, subsampling, DCT, clamping). `"soft"` does so too, but for the
            quantiser, which has the slope of a soft staircase, `1 - SOFTNESS cos(2 pi r)` at a distance of r
            steps from a whole number of them: attacks that follow it survive JPEG far better. `"none"` cuts
            the gradient.

    Returns:
        `[B,3,H,W]`, 8-bit levels k/255.

    Raises:
        ValueError: wrong shape, quality, subsampling or gradient.

    Source: ITU-T T.81 (1992), annex K for the tables; JFIF for the colour space; libjpeg's documented
    integer arithmetic for the roundings. A soft quantiser, with a cubic: Shin and Song, JPEG-resistant
    adversarial images, NIPS workshop on machine learning and computer security, 2017.
    """
    check_images(x, channels=3)
    if subsampling not in ("4:2:0", "4:4:4"):
        raise ValueError(f"subsampling must be '4:2:0' or '4:4:4', got {subsampling!r}")
    if gradient not in ("soft", "straight-through", "none"):
        raise ValueError(f"gradient must be 'soft', 'straight-through' or 'none', got {gradient!r}")
    luma_table, chroma_table = quantisation_tables(quality)
    soft = gradient == "soft"
    if gradient == "none":
        x = x.detach()
    height, width = x.shape[-2:]
    levels = clamp_inclusive(x) * 255.0
    luma, chroma = _to_ycc(straight_through(torch.round(levels), levels))
    luma = _code_any_size(luma, luma_table, soft)
    if subsampling == "4:4:4":
        chroma = _code_any_size(chroma, chroma_table, soft)
    else:
        # The order matters at odd sizes: columns are repeated before halving, rows only up to an even number.
        half = _code_any_size(_halve(_extend(chroma, -width % 16, height % 2)), chroma_table, soft)
        chroma = _double(half[..., : (width + 1) // 2])[..., :height, :width]
    return _to_rgb(luma, chroma) / 255.0

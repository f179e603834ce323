"""Sets of smooth perturbations of an image, as separable linear maps of what an attack may choose freely.

A field is `A_h theta A_w^T`, with theta within [-1,1]; what the matrices are made of decides how smooth it
is. Fields are in units of the bound eps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import SampleRng
from magdr_core.functional import constant, gaussian_blur

Spectrum = Literal["gaussian", "dct", "upsampled"]
Interpolation = Literal["bilinear", "bicubic"]

ALTERNATIONS = 4
"""Rounds between the band and the ball after each step of a band-limited field. What the last clip leaves
outside the band is below 1% of the energy."""

CONTRAST = 4.0
"""Of fields that are given by their direction: stretched until much of them is at the bound, and made smooth
again. What is merely scaled to fit has a few large values, and is rounded away elsewhere."""

TINY = 1e-30


@dataclass(frozen=True)
class SmoothFields:
    """Smooth fields of one size.

    Attributes:
        rows, columns: A_h `[H,m]` and A_w `[W,n]`.
        idempotent: A is a projection, so that a field is cut to [-1,1] as a whole, and theta with it; else
            theta is cut, and the field follows, since rows of A add up to 1 and are not negative.
    """

    rows: Tensor
    columns: Tensor
    idempotent: bool

    def field(self, theta: Tensor) -> Tensor:
        """`[B,C,m,n] -> [B,C,H,W]` in [-1,1]."""
        return _separable(theta, self.rows, self.columns).clamp(-1, 1)

    def adjoint(self, gradient: Tensor) -> Tensor:
        """The gradient of theta, `[B,C,m,n]`, from that of the field, `[B,C,H,W]`."""
        return _separable(gradient, self.rows.T, self.columns.T)

    def inside(self, theta: Tensor) -> Tensor:
        """The theta `[B,C,m,n]` of a field within [-1,1]; alternating projections where a cut theta would
        not do (Bregman 1965)."""
        theta = theta.clamp(-1, 1)
        for _ in range(ALTERNATIONS if self.idempotent else 0):
            theta = self.field(theta)
        return theta

    def start(self, rng: SampleRng, channels: int) -> Tensor:
        """A random theta `[B,C,m,n]` whose field is large: blurred noise alone would be rounded away."""
        noise = rng.uniform(channels, self.rows.shape[1], self.columns.shape[1], low=-1.0, high=1.0)
        return self.largest(self.adjoint(_separable(noise, self.rows, self.columns)))

    def largest(self, theta: Tensor) -> Tensor:
        """`[B,C,m,n]`, stretched by `CONTRAST` beyond the bound and cut there; a theta of zeros stays."""
        most = theta.abs().flatten(1).amax(1)[:, None, None, None]
        return self.inside(CONTRAST * theta / most.clamp_min(TINY))


def gaussian_fields(height: int, width: int, sigma: float, device: torch.device) -> SmoothFields:
    """Fields blurred by a Gaussian of `sigma` pixels; a blurred field in [-1,1] stays there."""
    rows, columns = (_blur_matrix(n, sigma, device) for n in (height, width))
    return SmoothFields(rows, columns, idempotent=False)


def dct_fields(height: int, width: int, cutoff: float, device: torch.device) -> SmoothFields:
    """Fields of the cosines up to `cutoff` along each axis, a share of Nyquist; no blocks."""
    rows, columns = (_band_matrix(n, cutoff, device) for n in (height, width))
    return SmoothFields(rows, columns, idempotent=True)


def upsampled_fields(
    height: int, width: int, grid: int, interpolation: Interpolation, device: torch.device
) -> SmoothFields:
    """Fields of `grid` x `grid` values (not more than pixels), enlarged; bicubic ones are cut at the bound,
    which they exceed by a little."""
    rows, columns = (_enlarging_matrix(n, min(grid, n), interpolation, device) for n in (height, width))
    return SmoothFields(rows, columns, idempotent=False)


def _separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`rows x columns^T` of every plane; one product a plane, so that an image alone has the same bits."""
    batch, channels, height, width = x.shape
    planes = x.reshape(-1, height, width)
    count = len(planes)
    left = torch.bmm(rows.expand(count, -1, -1), planes)
    both = torch.bmm(left, columns.T.expand(count, -1, -1))
    return both.reshape(batch, channels, *both.shape[1:])


def _blur_matrix(n: int, sigma: float, device: torch.device) -> Tensor:
    # A column of pixels is an image of width 1, which a blur across leaves as it is.
    return gaussian_blur(torch.eye(n, device=device)[:, None, :, None], sigma)[:, 0, :, 0]


def _band_matrix(n: int, cutoff: float, device: torch.device) -> Tensor:
    """The projection onto the cosines u of the DCT-II, u / n of Nyquist each, with u / n <= cutoff."""
    kept = min(n, math.floor(cutoff * n + 1e-9) + 1)
    cosines = [
        [math.sqrt((2 if u else 1) / n) * math.cos(math.pi * (2 * i + 1) * u / (2 * n)) for i in range(n)]
        for u in range(kept)
    ]
    basis = constant(cosines, device)
    return basis.T @ basis


def _enlarging_matrix(n: int, grid: int, interpolation: Interpolation, device: torch.device) -> Tensor:
    corners = torch.eye(grid, device=device)[None, None]
    return F.interpolate(corners, (n, grid), mode=interpolation, align_corners=False)[0, 0]

"""sRGB and CIE L*a*b* (D65, two degrees), differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional import clamp_inclusive

# IEC 61966-2-1, and its inverse by the machine, so that there and back is the identity.
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)
_KNEE = 6 / 29


def to_lab(x: Tensor) -> Tensor:
    """RGB `[B,3,H,W]` in [0,1] -> L in [0,100], a and b in about [-110,110]."""
    linear = torch.where(x > 0.04045, _power((x.clamp_min(0.04045) + 0.055) / 1.055, 2.4), x / 12.92)
    t = _mixed(_matrix(x), linear)
    # Clamped first: the branch that is not taken must have a finite gradient too.
    root = _power(t.clamp_min(_KNEE**3), 1 / 3)
    fx, fy, fz = torch.where(t > _KNEE**3, root, t / (3 * _KNEE**2) + 4 / 29).split(1, 1)
    return torch.cat([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)


def from_lab(lab: Tensor) -> Tensor:
    """The inverse of `to_lab`, clamped to [0,1]."""
    lightness, a, b = lab.split(1, 1)
    fy = (lightness + 16) / 116
    f = torch.cat([fy + a / 500, fy, fy - b / 200], 1)
    linear = _mixed(torch.linalg.inv(_matrix(lab)), torch.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29)))
    bright = 1.055 * _power(linear.clamp_min(0.0031308), 1 / 2.4) - 0.055
    return clamp_inclusive(torch.where(linear > 0.0031308, bright, 12.92 * linear))


def _power(x: Tensor, exponent: float) -> Tensor:
    # torch's own power gives the end of a tensor other last bits than its middle: results would depend on
    # the batch.
    return (exponent * x.log()).exp()


def _matrix(like: Tensor) -> Tensor:
    """Linear RGB to XYZ, as shares of the white."""
    matrix, white = torch.tensor(_TO_XYZ, dtype=torch.float64), torch.tensor(_WHITE, dtype=torch.float64)
    return (matrix / white[:, None]).to(like)


def _mixed(matrix: Tensor, x: Tensor) -> Tensor:
    # A sum, not a matrix product: the same bits in every batch, and full precision under autocast.
    return (matrix[None, :, :, None, None] * x[:, None]).sum(2)

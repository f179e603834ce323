"""CIE L*a*b* of sRGB pictures (D65, 2 degrees): colours by lightness and two opponent axes."""

from __future__ import annotations

import torch
from torch import Tensor

# IEC 61966-2-1, and the white of D65.
_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)


def _mixed(x: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix, x)


def _matrix(like: Tensor) -> Tensor:
    return like.new_tensor(_XYZ) / like.new_tensor(_WHITE)[:, None]


def to_lab(x: Tensor) -> Tensor:
    """`[B,3,H,W]` sRGB in [0,1] -> L (0..100), a, b (about -100..100)."""
    light = torch.where(x > 0.04045, ((x + 0.055) / 1.055).clamp_min(1e-6) ** 2.4, x / 12.92)
    t = _mixed(light, _matrix(x))
    f = torch.where(t > 0.008856, t.clamp_min(1e-6) ** (1 / 3), 7.787 * t + 16 / 116)
    fx, fy, fz = f.unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)


def from_lab(lab: Tensor) -> Tensor:
    """The inverse of :func:`to_lab`; what no screen shows is clamped to [0,1]."""
    lightness, a, b = lab.unbind(1)
    fy = (lightness + 16) / 116
    f = torch.stack([fy + a / 500, fy, fy - b / 200], 1)
    t = torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    light = _mixed(t, torch.linalg.inv(_matrix(lab)))
    x = torch.where(light > 0.0031308, 1.055 * light.clamp_min(1e-9) ** (1 / 2.4) - 0.055, 12.92 * light)
    return x.clamp(0, 1)

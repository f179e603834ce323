"""CIE L*a*b*, a colour space whose distances are about those that the eye sees."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional._common import check_images
from magdr_core.functional.constants import constant
from magdr_core.functional.eightbit import clamp_inclusive

# Linear sRGB (IEC 61966-2-1) to XYZ, and the white of D65 seen by the 2-degree observer.
_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)

# CIE 15: the cube root, and the line that replaces it near black, where its slope would be infinite.
_DARK, _SLOPE, _OFFSET = 0.008856, 7.787, 16 / 116
_DARK_ROOT = 0.2068966

# sRGB's curve, and the line that replaces it near black.
_LINEAR_RGB, _LINEAR_LIGHT = 0.04045, 0.0031308


def to_lab(x: Tensor) -> Tensor:
    """sRGB images as L*a*b* under D65.

    Args:
        x: `[B,3,H,W]` in [0,1].

    Returns:
        `[B,3,H,W]`: L* in 0..100, a* (green to red) and b* (blue to yellow) within about +-110.
        Differentiable, with finite gradients everywhere.

    Raises:
        ValueError: wrong shape.

    Source: CIE 15 (2004); IEC 61966-2-1 for sRGB.
    """
    check_images(x, channels=3)
    light = torch.where(x > _LINEAR_RGB, ((x.clamp_min(_LINEAR_RGB) + 0.055) / 1.055) ** 2.4, x / 12.92)
    xyz = _mixed(light, _XYZ) / constant(_WHITE, x.device, x.dtype)[:, None, None]
    root = torch.where(xyz > _DARK, xyz.clamp_min(_DARK) ** (1 / 3), _SLOPE * xyz + _OFFSET)
    fx, fy, fz = root.unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)


def from_lab(lab: Tensor) -> Tensor:
    """The sRGB images of L*a*b* ones, the inverse of :func:`to_lab`.

    Args:
        lab: `[B,3,H,W]`.

    Returns:
        `[B,3,H,W]` in [0,1]; colours that sRGB does not have are clamped, each channel for itself.
        Differentiable, with finite gradients everywhere.

    Raises:
        ValueError: wrong shape.
    """
    check_images(lab, "lab", channels=3)
    lightness, a, b = lab.unbind(1)
    fy = (lightness + 16) / 116
    root = torch.stack([fy + a / 500, fy, fy - b / 200], 1)
    xyz = torch.where(root > _DARK_ROOT, root**3, (root - _OFFSET) / _SLOPE)
    xyz = xyz * constant(_WHITE, lab.device, lab.dtype)[:, None, None]
    back = torch.linalg.inv(torch.tensor(_XYZ, dtype=torch.float64)).tolist()
    light = _mixed(xyz, back)
    curved = 1.055 * light.clamp_min(_LINEAR_LIGHT) ** (1 / 2.4) - 0.055
    return clamp_inclusive(torch.where(light > _LINEAR_LIGHT, curved, 12.92 * light))


def _mixed(x: Tensor, rows: object) -> Tensor:
    """Each pixel times a 3x3 matrix; sums of three terms, so that the bits do not depend on the batch."""
    matrix = constant(rows, x.device, x.dtype)
    first, second, third = x.unbind(1)
    return torch.stack([m[0] * first + m[1] * second + m[2] * third for m in matrix], 1)

"""The pixel grid in every coordinate system that a face is drawn in, and the light that falls on it.

Head units: the centre of the head is (0, 0), half its height is 1, `v` points down the face.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional import constant

from .parameters import AU_INDEX, FaceParameters
from .shapes import at, columns, spot

_BALL = 0.92
"""Radius of the ball on which features turn with the head."""


class Frame:
    """Coordinates `[B,size,size]` of every pixel and per-face shortcuts `[B,1,1]`."""

    def __init__(self, params: FaceParameters, size: int) -> None:
        self.params, self.size = params, size
        pose, place = params.pose, params.surroundings
        axis = (torch.arange(size, device=params.device, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0
        self.x, self.y = axis[None, None, :], axis[None, :, None]
        self.pixel = 2.0 / size
        ox, oy = columns(pose.offset)
        scale = at(pose.scale)
        self.px = self.pixel / scale
        # Body coordinates: head units, but upright and behind the turning head.
        lean = columns(pose.lean)
        whole = (len(params), size, size)
        self.bu = ((self.x - ox - 0.3 * lean[0]) / scale).expand(whole).contiguous()
        self.bv = ((self.y - oy) / scale).expand(whole).contiguous()
        self.slope = lean[1]
        cos, sin = at(torch.cos(pose.roll)), at(torch.sin(pose.roll))
        dx, dy = (self.x - ox) / scale, (self.y - oy) / scale
        self.u, self.v = cos * dx + sin * dy, cos * dy - sin * dx
        self.au = {name: at(params.action_units[:, i]) for name, i in AU_INDEX.items()}
        self._turn()

        self.light = columns(place.light)
        warm = place.warmth[:, None] * constant([0.10, 0.0, -0.13], params.device)
        self._key = (place.key[:, None] * (1.0 + warm))[:, :, None, None]
        self._fill = (place.fill[:, None] * place.tint)[:, :, None, None]

    def _turn(self) -> None:
        """Feature coordinates: where on the turned head a pixel lies."""
        pose = self.params.pose
        self.yaw, self.pitch = at(pose.yaw), at(pose.pitch)
        u, v = self.u, self.v
        depth_u = torch.sqrt((1.0 - (u / _BALL) ** 2).clamp(min=0.02)) * _BALL
        depth_v = torch.sqrt((1.0 - (v / 1.25) ** 2).clamp(min=0.02))
        self.uf = u * at(torch.cos(pose.yaw)) - depth_u * at(torch.sin(pose.yaw))
        self.vf = v * at(torch.cos(pose.pitch)) - depth_v * at(torch.sin(pose.pitch))
        self.mirror = self.uf.abs()
        self.left = (0.5 + self.uf / self.px).clamp(0.0, 1.0)
        self.sign = self.left * 2.0 - 1.0

    def lit(self, towards: Tensor) -> Tensor:
        """Light `[B,3,H,W]` on a surface that faces the key light by `towards` `[B,H,W]`."""
        return self._fill + self._key * towards.clamp(min=0.0)[:, None]

    def facing(self, nx: Tensor, ny: Tensor) -> Tensor:
        """How far a surface with the normal (nx, ny, the rest to the viewer) faces the key light."""
        nz = torch.sqrt((1.0 - nx * nx - ny * ny).clamp(min=0.03))
        lx, ly, lz = self.light
        # Wrapped: skin, hair and cloth scatter, so the terminator is soft.
        return (nx * lx + ny * ly + nz * lz + 0.25) * 0.8

    def bump(self, x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
        """Change of `facing` on a bell-shaped bump of height 1 around (x, y) = 0."""
        lx, ly, _ = self.light
        a, b = x / rx, y / ry
        return 2.0 * spot(a, b, 1.0, 1.0) * (a * (lx / rx) + b * (ly / ry))

"""Hair: a mass behind the head and one in front of it, cut open around the face, both made of strands."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional import constant

from .canvas import Canvas
from .frame import Frame
from .shapes import (
    at,
    bell,
    columns,
    cover,
    ellipse,
    linear,
    mix,
    ramp,
    soft_max,
    soft_min,
    spot,
    squircle,
    texture,
)

# Darkest and lightest of each colour class (display space): classes must not meet under any light.
_DARK = ((0.075, 0.065, 0.07), (0.74, 0.57, 0.32), (0.29, 0.185, 0.12), (0.60, 0.60, 0.615))
_LIGHT = ((0.125, 0.105, 0.10), (0.92, 0.81, 0.58), (0.46, 0.28, 0.16), (0.82, 0.82, 0.83))


def hair_colour(frame: Frame) -> Tensor:
    """Linear hair colour `[B,3]`."""
    hair = frame.params.identity.hair
    dark = constant(_DARK, frame.params.device)[hair.colour]
    light = constant(_LIGHT, frame.params.device)[hair.colour]
    colour = dark + (light - dark) * hair.shade[:, :1]
    warm = constant([0.02, -0.005, -0.03], colour.device)
    # Gray has no hue of its own to vary.
    colourful = ((hair.colour == 1) | (hair.colour == 2)).to(torch.float32)[:, None]
    return linear(colour + (hair.shade[:, 1:] - 0.5) * warm * colourful)


class HairShape:
    """Outline, face opening and strands of one batch of hair styles."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        hair = frame.params.identity.hair
        self.width, _, _, self.chin, _, _ = columns(frame.params.identity.head)
        u, v = frame.u, frame.v
        self.curl, self.wave = at(hair.curl), at(hair.wave)
        self._strands(u, v)
        self._outline(u, v)
        self._opening()
        self.colours = self.light()

    def _strands(self, u: Tensor, v: Tensor) -> None:
        """Two textures along the strands, which fan out from the parting and then hang down."""
        hair, frame = self.frame.params.identity.hair, self.frame
        crown = -1.0 - at(hair.top)
        fall = (v - crown).clamp(min=0.0)
        part = at(hair.part) * ramp(v, 0.4, -0.6)
        fan = 0.3 + 0.7 * ramp(fall, 0.0, 1.1)
        swing = torch.sin(v * (3.6 + 3.0 * at(hair.bun[:, 2])) + 5.0 * at(hair.part))
        s = (u - part + (0.03 + 0.09 * self.wave) * swing * ramp(v, -0.6, 0.3)) / fan
        bend = texture(hair.noise, u * 0.22, v * 0.22)
        self.bend = bend[:, 0]
        s = s + (0.05 + 0.14 * self.curl) * bend[:, 0]
        slow = 0.13 + 0.65 * self.curl
        coarse = texture(hair.noise, s * 0.42, v * slow)
        fine = texture(hair.noise.flip(1), s * 0.95 + 0.3, v * slow * 1.3)
        # The fine strands fade when a pixel is wider than they are.
        visible = ((0.066 / frame.px) - 0.6).clamp(0.0, 1.0)
        self.coarse, self.tips = coarse[:, 0], coarse[:, 1]
        self.strand = 0.55 * coarse[:, 0] + 0.65 * fine[:, 0] * visible

    def _outline(self, u: Tensor, v: Tensor) -> None:
        hair, frame = self.frame.params.identity.hair, self.frame
        top, side, length = at(hair.top), at(hair.side), at(hair.length)
        short = ramp(length, 0.45, 0.15)
        full = self.width + side
        # Short sides taper to the ears, long ones widen to the shoulders.
        below = v.clamp(min=0.0)
        taper = short * 0.8 * side * ramp(below, 0.0, 0.3)
        reach = full - taper + at(hair.flare) * below * (1.0 - short) * 0.55
        lumps = 0.022 * self.bend + self.curl * (0.05 * self.tips + 0.05 * self.bend)
        wavy = 0.05 * self.wave * torch.sin(v * 4.2 + 4.0 * self.bend) * ramp(v, 0.0, 0.7)
        dome = squircle(u, v.clamp(max=0.0), full, 0.97 + top, 0.3)
        sides = u.abs() - reach
        above = (v < 0.0).to(torch.float32)
        self.height = torch.sqrt((u / full) ** 2 + (v.clamp(max=0.0) / (0.97 + top)) ** 2 + 1e-6)
        body = mix(sides, dome, above) + lumps + wavy
        ragged = length + (0.05 + 0.05 * self.wave) * self.tips - 0.25 * (1.0 - short) * (u / full) ** 2
        self.end = v - ragged
        self.outer = soft_max(body, self.end, 0.25)
        has_bun, bun_x, bun_r = columns(hair.bun)
        # Nobody wears a hat over one.
        has_bun = has_bun * (1.0 - at(frame.params.accessories.hat))
        bun = ellipse(u - bun_x, v + 0.98 + top + bun_r * 0.35, bun_r, bun_r * 0.85) + 0.02 * self.tips
        self.outer = mix(self.outer, soft_min(self.outer, bun, 0.05), has_bun)

    def _opening(self) -> None:
        """Distance to the window in the front hair through which the face shows."""
        hair, frame = self.frame.params.identity.hair, self.frame
        uf, vf = frame.uf, frame.vf
        short = ramp(at(hair.length), 0.45, 0.15)
        # Hair over the cheeks when it is long, sideburns when it is short.
        inner = self.width * mix(
            at(hair.cover) + 0.06 * ramp(vf, 0.2, 1.0), torch.full_like(vf, 0.955), short
        )
        inner = inner + 0.02 * self.bend
        across = (uf / (self.width * 0.93)).clamp(-1.2, 1.2)
        a2 = across * across
        part = at(hair.part)
        back = at(hair.hairline) + 0.42 * a2 * a2 - at(hair.temples) * bell(uf.abs() - 0.36, 0.2)
        back = back + 0.03 * bell(uf, 0.1)
        curtain = at(hair.hairline) - 0.06 + 0.75 * (uf - part).abs() + 0.1 * a2
        line = mix(back, torch.minimum(curtain, back + 0.35), at(hair.front_open))
        tilt = at(hair.bangs_tilt)
        swept = at(hair.bangs_drop) + tilt * uf - 0.12 * tilt.abs() + 0.18 * a2 * a2
        swept = swept + 0.06 * self.tips + 0.02 * self.bend
        line = mix(line + 0.03 * self.tips, swept, at(hair.bangs))
        self.front_line = line
        self.opening = soft_max(uf.abs() - inner, line - vf, 0.12)

    def light(self) -> Tensor:
        """Linear colours `[B,3,H,W]` of the hair."""
        frame, hair = self.frame, self.frame.params.identity.hair
        u, v = frame.u, frame.v
        lx, ly, _ = frame.light
        nx = (u / (self.width + 0.25)).clamp(-0.95, 0.95)
        ny = (v.clamp(max=0.35) / 1.3).clamp(-0.95, 0.9)
        towards = frame.facing(nx * 0.85, ny * 0.85)
        contrast = at(hair.strands)
        texture_gain = (1.0 + contrast * 0.62 * self.strand + 0.1 * self.curl * self.tips).clamp(min=0.25)
        # Gloss lies in an arc around the crown, broken by the strands.
        ring = bell(self.height - 0.72 + 0.03 * self.coarse, 0.13) * ramp(v, 0.1, -0.4)
        low_ring = 0.5 * bell(v - 0.42 - 0.1 * self.bend, 0.2)
        side = (0.7 + 0.9 * lx * nx * 1.5 - 0.3 * ly).clamp(min=0.0)
        shine = (ring + low_ring) * side * (0.55 + 0.6 * self.strand).clamp(min=0.0) * (1.0 - 0.6 * self.curl)
        colour = hair_colour(frame)
        gloss = 0.35 * colour + 0.03
        lit = frame.lit(towards)
        base = colour[:, :, None, None] * texture_gain[:, None]
        return (base + gloss[:, :, None, None] * shine[:, None]) * lit


def draw_back_hair(canvas: Canvas, shape: HairShape) -> None:
    """Everything behind head and neck."""
    frame = shape.frame
    # Deep shade between neck and hair, towards the middle.
    inner = spot(frame.u, frame.v - 0.9, shape.width * 0.95, 0.75)
    short = ramp(at(frame.params.identity.hair.length), 0.3, 0.1)
    share = cover(shape.outer, frame.px) * (1.0 - short * ramp(frame.v, 0.0, 0.25))
    canvas.add("hair", share, shape.colours * (1.0 - 0.62 * inner)[:, None])


def draw_front_hair(canvas: Canvas, shape: HairShape) -> None:
    """What falls in front of head and shoulders."""
    frame = shape.frame
    px = frame.px
    share = torch.minimum(cover(shape.outer, px), cover(-shape.opening, px * 1.3))
    # The edge at the face is in its own shade.
    depth = 1.0 - 0.35 * ramp(shape.opening, 0.14, 0.0) * ramp(frame.v, -0.5, 0.3)
    canvas.add("hair", share, shape.colours * depth[:, None])

"""Skin: neck, ears, the head with its relief, folds and beard, and the nose."""

from __future__ import annotations

from typing import NamedTuple

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
    paint,
    ramp,
    spot,
    squircle,
    stroke,
    texture,
    tint,
)

_TONES = (
    (0.96, 0.83, 0.75), (0.93, 0.76, 0.65), (0.90, 0.71, 0.58), (0.82, 0.61, 0.47),
    (0.70, 0.49, 0.36), (0.56, 0.37, 0.26), (0.43, 0.28, 0.20),
)  # fmt: skip


def skin_colour(frame: Frame) -> Tensor:
    """Linear skin colour `[B,3]`."""
    person = frame.params.identity
    tones = constant(_TONES, frame.params.device)
    place = person.tone.clamp(0.0, 0.999) * (len(_TONES) - 1)
    low = place.to(torch.int64)
    rest = (place - low.to(torch.float32))[:, None]
    colour = tones[low] + (tones[low + 1] - tones[low]) * rest
    rosy = constant([0.018, -0.012, -0.004], colour.device)
    return linear(colour + person.undertone[:, None] * rosy)


def brow_colour(frame: Frame) -> Tensor:
    """Linear colour of brows, lashes and beard `[B,3]`."""
    browns = [[0.15, 0.12, 0.11], [0.47, 0.35, 0.21], [0.25, 0.16, 0.11], [0.40, 0.39, 0.39]]
    table = constant(browns, frame.params.device)
    return linear(table[frame.params.identity.hair.brow_colour])


def head_distance(frame: Frame) -> Tensor:
    """Distance to the outline of the skull and jaw."""
    width, taper, square, chin, crown, cheek = columns(frame.params.identity.head)
    au = frame.au
    chin = chin + 0.09 * au["AU26"] - 0.025 * au["AU17"]
    u, v = frame.u, frame.v
    down = ramp(v, -0.05, 1.05)
    cheeks = bell(v - 0.3, 0.22) * (0.05 * cheek + 0.03 * au["AU12"] - 0.01)
    wide = width * (1.0 - taper * down + cheeks)
    below = (v > 0.0).to(torch.float32)
    return squircle(u, v, wide, mix(torch.full_like(chin, 0.97), chin, below), mix(crown, square, below))


def draw_neck(canvas: Canvas, frame: Frame, skin: Tensor) -> None:
    """Neck and the skin above the neckline, under everything that is worn."""
    width = at(frame.params.identity.head[:, 0])
    u, v = frame.bu, frame.bv
    flare = ramp(v, 0.9, 1.5)
    half = width * (0.57 - 0.05 * at(frame.params.identity.makeup[:, 0])) + 0.55 * flare * flare
    share = cover(u.abs() - half, frame.px) * ramp(v, 0.2, 0.4)
    towards = frame.facing(
        (u / (half * 1.15)).clamp(-0.97, 0.97) * 0.9, torch.full_like(v, 0.12) - 0.3 * flare
    )
    # The head's shadow lies on the neck, off to the side the light does not come from.
    lx, _, _ = frame.light
    shade = 1.0 - 0.55 * spot(frame.u + 0.25 * lx, frame.v - 0.82, width * 0.85, 0.5)
    cords = 1.0 - 0.12 * spot(u.abs() - 0.1 - 0.16 * (1.5 - v), v - 1.35, 0.05, 0.3)
    light = skin[:, :, None, None] * frame.lit(towards * shade * cords) * (0.6 + 0.4 * shade)[:, None]
    canvas.add("neck", share, light)


def draw_ears(canvas: Canvas, frame: Frame, skin: Tensor) -> None:
    """Both ears, behind the head; a turned head hides one of them and shows more of the other."""
    person = frame.params.identity
    width = at(person.head[:, 0])
    size, out = columns(person.ears)
    right = (frame.u > 0.0).to(torch.float32)
    sign = right * 2.0 - 1.0
    x = frame.u - sign * (width * 0.965 + out) + 0.22 * frame.yaw
    y = frame.v - 0.1 - 0.6 * frame.pitch
    x = x + sign * 0.12 * y
    share = cover(ellipse(x, y, 0.115 * size, 0.235 * size), frame.px)
    inner = spot(x - sign * 0.02, y + 0.03, 0.05 * size, 0.13 * size)
    towards = frame.facing(sign * 0.45, 0.2 * y) * (1.0 - 0.5 * inner)
    light = paint(skin[:, :, None, None] * frame.lit(towards), skin * tint([0.62, 0.38, 0.34], skin),
                  0.45 * inner)  # fmt: skip
    canvas.add_split(("l_ear", "r_ear"), share, light, right)


def draw_head(canvas: Canvas, frame: Frame, skin: Tensor) -> None:
    """The head and the nose on it, which share one shaded surface."""
    person = frame.params.identity
    width = at(person.head[:, 0])
    distance = head_distance(frame)
    nose = _nose(frame)
    surface = _colour_map(frame, nose, skin) * frame.lit(_relief(frame, nose, width))
    surface = _shadows(frame, nose, surface, distance)
    surface = surface + _sheen(frame, nose)[:, None] * 0.5
    surface = _beard(frame, nose, surface, distance)
    share = cover(distance, frame.px)
    canvas.add_split(("nose", "skin"), share, surface, _nose_share(nose))


class _Nose(NamedTuple):
    """Coordinates about the tip of the nose, which stands out and so moves further; length, half width."""

    x: Tensor
    y: Tensor
    length: Tensor
    half: Tensor


def _nose(frame: Frame) -> _Nose:
    length, half, _, _ = columns(frame.params.identity.nose)
    au = frame.au
    length = length * (1.0 - 0.10 * au["AU09"])
    half = half * (1.0 + 0.12 * au["AU12"] + 0.14 * au["AU09"] + 0.06 * au["AU10"])
    along = ramp(frame.vf, -0.1, 0.4)
    x = frame.uf - 0.16 * torch.sin(frame.yaw) * along
    return _Nose(x, frame.vf - length - 0.1 * frame.pitch, length, half)


def _nose_share(nose: _Nose) -> Tensor:
    x, y, length, half = nose
    t = ((y + length + 0.06) / (length + 0.06)).clamp(0.0, 1.0)
    edge = half * (0.46 + 0.54 * t * t) - x.abs()
    inside = torch.minimum(edge, torch.minimum(0.075 - y, y + length + 0.06))
    return ramp(inside, -0.03, 0.03)


def _relief(frame: Frame, nose: _Nose, width: Tensor) -> Tensor:
    """How far each point of the face turns to the light."""
    person, au = frame.params.identity, frame.au
    uf, vf, mx, sign = frame.uf, frame.vf, frame.mirror, frame.sign
    towards = frame.facing(frame.u / (width * 1.06), frame.v / 1.25)
    _, _, bridge, tip = columns(person.nose)
    x, y, length, half = nose
    ed, _, _, _, ey = columns(person.eyes)
    cheek = 0.6 + 0.5 * at(person.head[:, 5]) + 0.7 * au["AU06"] + 0.4 * au["AU12"]
    relief = 0.10 * bridge * frame.bump(x, y + 0.55 * length, half * 0.55, length * 0.75)
    relief = relief + 0.085 * tip * frame.bump(x, y + 0.03, half * 0.75, 0.1)
    relief = relief + 0.03 * tip * frame.bump(sign * (x.abs() - 0.8 * half), y + 0.01, half * 0.35, 0.06)
    relief = relief + 0.09 * cheek * frame.bump(sign * (mx - 0.4), vf - 0.25 + 0.05 * au["AU06"], 0.2, 0.17)
    relief = relief - 0.05 * frame.bump(sign * (mx - ed), vf - ey + 0.02, 0.2, 0.12)
    relief = relief + 0.05 * frame.bump(sign * (mx - ed * 0.9), vf - ey + 0.22, 0.26, 0.08)
    relief = relief + 0.07 * frame.bump(uf, vf - 0.9 - 0.08 * au["AU26"], 0.2, 0.14 - 0.03 * au["AU17"])
    return towards + relief


def _colour_map(frame: Frame, nose: _Nose, skin: Tensor) -> Tensor:
    """Skin colour `[B,3,H,W]` with the redder and duller zones of a face."""
    person, au = frame.params.identity, frame.au
    uf, vf, mx = frame.uf, frame.vf, frame.mirror
    x, y, _, half = nose
    ed, _, _, _, ey = columns(person.eyes)
    red = skin * tint([1.0, 0.66, 0.64], skin)
    dull = skin * tint([0.72, 0.60, 0.62], skin)
    blush = 0.3 + 0.7 * at(person.blush)
    surface = skin[:, :, None, None].expand(-1, -1, *uf.shape[1:])
    cheeks = spot(mx - 0.4, vf - 0.26 + 0.06 * au["AU06"], 0.19, 0.15) * (0.55 * blush + 0.15 * au["AU12"])
    surface = paint(surface, red, cheeks + 0.4 * spot(x, y, half, 0.1))
    under = spot(mx - ed * 0.97, vf - ey - 0.13, 0.15, 0.055) * (0.14 + 0.4 * at(person.age))
    shadow = at(person.makeup[:, 0]) * 0.6 * spot(mx - ed, vf - ey + 0.09, 0.2, 0.07)
    surface = paint(surface, dull, (under + shadow).clamp(max=0.8))
    noise = texture(person.hair.noise, uf * 1.1, vf * 1.1)
    speck = ramp(noise[:, 1], 0.55, 0.95) * at(person.freckles) * spot(mx - 0.22, vf - 0.24, 0.3, 0.18)
    surface = paint(surface, skin * tint([0.55, 0.40, 0.34], skin), 0.7 * speck)
    return surface * (1.0 + 0.045 * noise[:, :1])


def _shadows(frame: Frame, nose: _Nose, surface: Tensor, distance: Tensor) -> Tensor:
    """Hollows and folds: eye sockets, nostrils, smile lines, wrinkles of the action units."""
    person, au, px = frame.params.identity, frame.au, frame.px
    uf, vf, mx = frame.uf, frame.vf, frame.mirror
    lx, _, _ = frame.light
    x, y, _, half = nose
    ed, ew, _, _, ey = columns(person.eyes)
    age = at(person.age)
    dark = 0.32 * spot(mx - ed * 0.86, vf - ey + 0.05, 0.2, 0.13)
    dark = dark + 0.30 * spot(x + 0.22 * lx * half / 0.15, y - 0.10, half * 0.95, 0.05)
    dark = dark + 0.16 * spot(x + 0.16 * lx, y + 0.14, half * 0.8, 0.2)
    dark = dark + 0.30 * spot(uf, vf - 0.80 - 0.05 * au["AU26"], 0.16, 0.045) * (1.0 + 0.6 * au["AU17"])
    # Cast by the hair or hat above, and the roundness towards the outline.
    dark = dark + 0.22 * ramp(distance, -0.16, 0.02)

    my, mw, _, _, _ = columns(person.mouth)
    mw = mw * (1.0 + 0.22 * au["AU12"])
    fold_x = half * 0.95 + (mw + 0.05 - half * 0.9) * ramp(vf, 0.34, 0.62)
    fold = stroke(mx - fold_x, 0.018, px) * ramp(vf, 0.3, 0.4) * ramp(vf, 0.72, 0.56)
    dark = dark + fold * (0.08 + 0.3 * age + 0.34 * au["AU12"] + 0.3 * au["AU10"] + 0.14 * au["AU06"])
    dark = dark + 0.5 * au["AU14"] * spot(mx - mw - 0.045, vf - my, 0.035, 0.06)
    dark = dark + 0.45 * au["AU15"] * spot(mx - mw - 0.03, vf - my - 0.12, 0.05, 0.06)
    dark = dark + 0.4 * au["AU17"] * spot(uf, vf - 0.89, 0.16, 0.035)
    brow_y = ey - at(person.brows[:, 0])
    waves = torch.sin((vf - brow_y) * 46.0).clamp(min=0.0)
    forehead = ramp(vf, -0.62, -0.5) * ramp(vf, brow_y - 0.06, brow_y - 0.12)
    raised = au["AU01"] * bell(uf, 0.24) + 0.8 * au["AU02"] * bell(mx - 0.36, 0.2)
    dark = dark + forehead * waves * (0.34 * raised + 0.16 * age).clamp(max=0.5)
    frown = stroke(mx - 0.055, 0.012, px) * bell(vf - brow_y, 0.09)
    dark = dark + (0.55 * au["AU04"] + 0.12 * age) * frown
    wrinkle = torch.sin((vf - ey + mx * 0.6) * 60.0).clamp(min=0.0) * spot(
        mx - 0.07, vf - ey - 0.08, 0.075, 0.1
    )
    dark = dark + 0.6 * au["AU09"] * wrinkle
    crow = torch.sin((vf - ey) * 55.0 + 1.0).clamp(min=0.0) * spot(mx - ed - ew - 0.1, vf - ey, 0.07, 0.1)
    dark = dark + crow * (0.4 * au["AU06"] + 0.25 * au["AU07"] + 0.22 * age)
    bag = stroke(vf - ey - 0.135 + 0.03 * au["AU06"] - 0.5 * (mx - ed) ** 2 * -1.0, 0.012, px)
    bag = bag * ramp((mx - ed).abs(), ew * 1.05, ew * 0.5)
    dark = dark + bag * (0.1 + 0.35 * au["AU06"] + 0.35 * au["AU07"] + 0.25 * age)
    nostril = spot(x.abs() - 0.48 * half, y - 0.045, 0.36 * half, 0.026)
    wing = spot(x.abs() - half * 1.02, y, 0.03, 0.06)
    dark = dark + 0.75 * nostril + (0.22 + 0.3 * au["AU09"] + 0.2 * au["AU10"]) * wing
    # Light that went through skin is red, so shadows lose blue and green first.
    loss = dark.clamp(0.0, 0.92)[:, None] * tint([0.82, 1.0, 1.04], surface)[:, None, None]
    return surface * (1.0 - 0.85 * loss)


def _sheen(frame: Frame, nose: _Nose) -> Tensor:
    """Reflections of the light on forehead, cheekbones and nose."""
    person = frame.params.identity
    lx, _, _ = frame.light
    x, y, length, half = nose
    mx, vf = frame.mirror, frame.vf
    near = 0.6 + 0.8 * (frame.sign * lx)
    shine = 0.07 * spot(frame.uf - 0.5 * lx, vf + 0.4, 0.28, 0.13) + 0.06 * near * spot(
        mx - 0.41, vf - 0.16, 0.12, 0.08
    )
    shine = shine + 0.10 * spot(x - 0.25 * lx * half, y + 0.02, half * 0.3, 0.04)
    shine = shine + 0.06 * spot(x - 0.2 * lx * half, y + 0.5 * length, half * 0.24, length * 0.4)
    return shine.clamp(min=0.0) * at(frame.params.surroundings.key) * (0.5 + 0.5 * at(person.blush))


def _beard(frame: Frame, nose: _Nose, surface: Tensor, distance: Tensor) -> Tensor:
    """Moustache, chin and cheek hair, between stubble and full."""
    person, au = frame.params.identity, frame.au
    uf, vf, mx = frame.uf, frame.vf, frame.mirror
    lip, chin, cheeks = columns(person.beard_style)
    my, mw, upper, _, _ = columns(person.mouth)
    noise = texture(person.hair.noise, uf * 1.6, vf * 0.8)
    ragged = 0.035 * noise[:, 0]
    mid = 0.5 * (my - upper + nose.length + 0.06) - 0.02 * au["AU10"]
    droop = mid + 0.03 + 1.1 * (mx * mx) * (1.0 - 0.5 * au["AU12"])
    on_lip = ramp((vf - droop).abs() + ragged, 0.085, 0.03) * ramp(mx + ragged, mw * 1.12, mw * 0.8)
    jaw = ramp(distance + ragged, -0.2, -0.02)
    low = ramp(vf + 0.5 * ragged, my + 0.2, my + 0.3) * ramp(mx + ragged, 0.32, 0.2)
    sides = ramp(vf + 1.2 * mx + ragged, 0.75, 1.05) * ramp(vf, 0.18, 0.4)
    line = ramp(vf - my + 1.3 * (0.66 - mx) - 0.2 + ragged, -0.12, 0.1)
    mouth_hole = 1.0 - ramp(ellipse(uf, vf - my - 0.03, mw * 1.06, 0.15 + 0.1 * au["AU26"]), 0.05, -0.02)
    full = torch.maximum(sides * line, jaw * sides) * mouth_hole
    share = torch.maximum(lip * on_lip, torch.maximum(chin * low * mouth_hole, cheeks * full))
    hairs = (0.78 + 0.3 * noise[:, 1]).clamp(0.0, 1.0)
    return paint(surface, brow_colour(frame) * 0.9, 0.88 * at(person.beard) * share * hairs)

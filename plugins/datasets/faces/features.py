"""Eyes, brows and mouth: the parts that the action units move most."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional import constant

from .canvas import Canvas
from .frame import Frame
from .shapes import at, bell, between, columns, cover, linear, mix, paint, ramp, spot, stroke, texture, tint
from .skin import brow_colour


def draw_brows(canvas: Canvas, frame: Frame) -> None:
    """Both brows; AU01 and AU02 raise their ends, AU04 lowers and draws them together."""
    person, au = frame.params.identity, frame.au
    height, half, thick, arch, tilt = columns(person.brows)
    ed, _, _, _, ey = columns(person.eyes)
    uneven = 0.012 * at(person.asymmetry[:, 0]) * frame.sign
    x = (frame.mirror - ed + 0.035 * au["AU04"]) / half
    inner, outer = (0.5 - 0.5 * x).clamp(0.0, 1.2), (0.5 + 0.5 * x).clamp(0.0, 1.2)
    one = torch.ones_like(height)
    middle = (
        ey
        - height
        - arch * (1.0 - (x - 0.25) ** 2 * mix(one, 0.45 * one, cover(x - 0.25, one)))
        - tilt * 0.5 * x * half
        + uneven
    )
    middle = middle - 0.11 * au["AU01"] * inner - 0.10 * au["AU02"] * outer
    middle = middle + au["AU04"] * (0.045 + 0.05 * inner) + 0.02 * au["AU09"]
    noise = texture(person.hair.noise, x * 0.5, frame.vf * 1.5)
    taper = 1.0 - 0.62 * ramp(x, -0.1, 1.15) - 0.35 * ramp(x, -0.55, -1.1)
    y = frame.vf - middle + 0.006 * noise[:, 0]
    share = stroke(y, thick * taper, frame.px) * ramp(x.abs() + 0.06 * noise[:, 1], 1.1, 0.88)
    share = share * (0.86 + 0.12 * noise[:, 1]).clamp(max=1.0)
    towards = frame.facing(frame.u * 0.9, frame.v * 0.6 - 0.1) * (1.0 + 0.2 * noise[:, 1])
    light = brow_colour(frame)[:, :, None, None] * frame.lit(towards)
    canvas.add_split(("l_brow", "r_brow"), share, light, frame.left)


def draw_eyes(canvas: Canvas, frame: Frame, skin: Tensor) -> None:
    """Both eyes with lids, lashes, iris and highlight."""
    person, au, px = frame.params.identity, frame.au, frame.px
    ed, half, openness, tilt, ey = columns(person.eyes)
    uneven = 1.0 + 0.06 * at(person.asymmetry[:, 1]) * frame.sign
    x = (frame.mirror - ed) / half
    y = frame.vf - ey + tilt * x * 0.5
    arc = (1.0 - x * x).clamp(min=0.0)
    wide = (
        openness
        * uneven
        * (1.0 + 0.38 * au["AU05"] - 0.34 * au["AU07"] - 0.1 * au["AU06"] - 0.1 * au["AU09"])
    )
    shut = au["AU45"]
    low = 0.062 * openness * (1.0 - 0.42 * au["AU06"] - 0.4 * au["AU07"]) * arc * (1.0 + 0.2 * x)
    high = -0.1 * wide * arc * (1.0 - 0.16 * x)
    high = mix(high, 0.75 * low, shut)
    share = between(y, high, low, px)

    gx, gy = columns(frame.params.expression.gaze)
    ix = frame.uf - frame.sign * ed - 0.035 * gx - 0.05 * torch.sin(frame.yaw)
    iy = y + 0.014 - 0.018 * gy
    r = torch.sqrt(ix * ix + iy * iy + 1e-6)
    ball = linear(tint([0.95, 0.93, 0.92], skin)).expand(skin.shape[0], 3)
    light = ball[:, :, None, None].expand(-1, -1, *y.shape[1:])
    light = light * (1.0 - 0.3 * ramp(x.abs(), 0.35, 1.0))[:, None]
    colour = _iris_colour(frame)
    ring = 0.45 + 0.75 * ramp(r, 0.096, 0.055) + 0.35 * spot(ix, iy - 0.04, 0.06, 0.04)
    iris = colour[:, :, None, None] * ring[:, None]
    light = paint(light, iris, cover(r - 0.094, px))
    light = paint(light, torch.full_like(colour, 0.004), cover(r - 0.038, px))
    towards = frame.facing(frame.u * 0.5, torch.full_like(y, -0.05))
    light = light * frame.lit(towards) * (1.0 - 0.5 * bell(y - high, 0.035))[:, None]
    lx, _, _ = frame.light
    glint = cover(torch.sqrt((ix - 0.035 * lx.sign() - 0.03 * lx) ** 2 + (iy + 0.036) ** 2) - 0.024, px)
    light = paint(light, torch.full_like(colour, 1.0), 0.85 * glint)
    canvas.add_split(("l_eye", "r_eye"), share, light, frame.left)

    made_up = at(person.makeup[:, 0])
    line = stroke(y - high + 0.008, 0.014 + 0.012 * made_up, px) * ramp(x.abs(), 1.14, 0.9)
    line = torch.maximum(line, 0.45 * stroke(y - low, 0.008, px) * ramp(x.abs(), 1.02, 0.8))
    crease = stroke(y - high * 1.25 + 0.04, 0.012, px) * ramp(x.abs(), 1.1, 0.75)
    lash = (
        brow_colour(frame) * mix(torch.full_like(made_up, 0.45), torch.full_like(made_up, 0.1), made_up)[:, 0]
    )
    canvas.add("skin", 0.5 * at(person.fold) * (1.0 - 0.5 * shut) * crease,
               (skin * tint([0.42, 0.3, 0.28], skin))[:, :, None, None].expand_as(light))  # fmt: skip
    canvas.add_split(("l_eye", "r_eye"), 0.85 * line, lash[:, :, None, None].expand_as(light), frame.left)


def _iris_colour(frame: Frame) -> Tensor:
    """Linear iris colour `[B,3]`, from brown over hazel and green to blue and gray."""
    hue, lightness = frame.params.identity.iris.unbind(1)
    table = constant(
        [[0.22, 0.12, 0.07], [0.36, 0.21, 0.11], [0.48, 0.36, 0.18], [0.38, 0.46, 0.30],
         [0.36, 0.52, 0.64], [0.50, 0.58, 0.64]], hue.device, hue.dtype)  # fmt: skip
    # Light irises are rare with dark skin.
    reach = 5.0 - 3.6 * ((frame.params.identity.tone - 0.35) * 2.5).clamp(0.0, 1.0)
    place = (hue * hue * 0.5 + hue * 0.5) * reach * 0.999
    low = place.to(torch.int64)
    colour = table[low] + (table[low + 1] - table[low]) * (place - low.to(torch.float32))[:, None]
    return linear(colour * (0.85 + 0.3 * lightness)[:, None])


def draw_mouth(canvas: Canvas, frame: Frame, skin: Tensor) -> None:
    """Lips and what is between them."""
    person, au, px = frame.params.identity, frame.au, frame.px
    my, half, upper, lower, bow = columns(person.mouth)
    smile, drop, part = au["AU12"], au["AU26"], au["AU25"]
    half = half * (
        1.0 + 0.26 * smile + 0.16 * au["AU20"] - 0.12 * au["AU23"] - 0.06 * au["AU17"] + 0.05 * au["AU14"]
    )
    x = frame.uf - 0.06 * torch.sin(frame.yaw)
    t = x / half
    tt = (t * t).clamp(max=1.3)
    arc = (1.0 - tt).clamp(min=0.0)
    crooked = 0.01 * at(person.asymmetry[:, 2]) * t
    lift = 0.125 * smile - 0.085 * au["AU15"] - 0.02 * au["AU20"]
    seam = my + 0.02 * smile + 0.03 * drop - 0.028 * au["AU17"] - 0.01 * au["AU09"] - lift * tt + crooked
    raise_up = 0.018 * part + 0.035 * au["AU10"] * (0.3 + 0.7 * part) + 0.012 * smile * part
    fall = part * (0.05 + 0.2 * smile) + drop * (0.02 + 0.12 * part)
    top_in, low_in = seam - raise_up * arc, seam + fall * arc
    thin = 1.0 - 0.5 * au["AU23"]
    dip = (1.0 - (t / 0.3) ** 2).clamp(min=0.0)
    full_up = upper * thin * (1.0 - 0.3 * smile) * (1.0 - 0.15 * au["AU10"])
    full_low = lower * thin * (1.0 - 0.22 * smile) * (1.0 - 0.25 * au["AU17"]) * (1.0 + 0.1 * au["AU25"])
    top = top_in - full_up * arc * (1.0 + 0.3 * tt - 0.28 * bow * dip) - 0.02 * au["AU10"] * arc
    bottom = low_in + full_low * arc * (1.0 + 0.25 * arc)

    y = frame.vf
    lips = between(y, top, bottom, px)
    lip = _lip_colour(frame, skin)
    # The upper lip looks down into the shade, the lower one up to the light.
    up = ((y - top) / (full_up + 0.02)).clamp(0.0, 1.0)
    down = ((y - low_in) / (full_low + 0.02)).clamp(0.0, 1.0)
    is_upper = cover(y - seam, px)
    towards = frame.facing(frame.u, mix(0.55 - 0.9 * down, 0.35 + 0.25 * up, 1.0 * is_upper) * -1.0 + 0.35)
    towards = mix(towards, towards * 0.72, is_upper)
    gloss = 0.07 * spot(x - 0.08 * frame.light[0], y - low_in - 0.4 * full_low, half * 0.4, 0.025)
    light = lip[:, :, None, None] * frame.lit(towards) + gloss[:, None]
    seam_line = stroke(y - seam, 0.011, px) * ramp(t.abs(), 1.06, 0.9)
    light = light * (1.0 - 0.7 * seam_line)[:, None]
    canvas.add_split(("u_lip", "l_lip"), lips, light, is_upper)

    gap = between(y, top_in, low_in, px)
    deep = ((low_in - top_in) * 6.0).clamp(0.0, 1.0)
    inside = tint([0.10, 0.022, 0.022], skin).expand_as(skin)[:, :, None, None].expand_as(light)
    tongue = spot(x, y - low_in - 0.01, half * 0.6, 0.06) * deep * 0.7
    inside = paint(inside, tint([0.42, 0.11, 0.11], skin).expand_as(skin), tongue)
    edge = top_in + (0.055 + 0.06 * smile) * (1.0 - 0.35 * tt)
    teeth = cover(y - edge, px) * ramp(t.abs(), 0.96, 0.6) * (0.35 + 0.65 * smile).clamp(max=1.0)
    gums = 1.0 - 0.35 * ramp(t.abs(), 0.1, 0.9)
    inside = paint(inside, gums[:, None] * linear(tint([0.95, 0.93, 0.88], skin))[:, None, None], teeth)
    inside = inside * frame.lit(frame.facing(frame.u * 0.6, torch.full_like(y, 0.0)))
    inside = inside * (1.0 - 0.45 * bell(y - top_in, 0.018))[:, None]
    canvas.add("mouth", gap, inside)
    corner = 0.55 * spot(t.abs() - 1.0, (y - seam) / 0.03, 0.09, 1.0)
    canvas.add(
        "skin", corner * 0.8, (skin * tint([0.3, 0.18, 0.17], skin))[:, :, None, None].expand_as(light)
    )


def _lip_colour(frame: Frame, skin: Tensor) -> Tensor:
    """Linear lip colour `[B,3]`: skin turned redder, or lipstick."""
    person = frame.params.identity
    hue, dark = person.lips.unbind(1)
    natural = skin * tint([0.80, 0.46, 0.46], skin)
    red = tint([0.72, 0.13, 0.17], skin)
    rose = tint([0.80, 0.36, 0.44], skin)
    stick = linear(red + (rose - red) * hue[:, None]) * (1.0 - 0.45 * dark)[:, None]
    return natural + (stick - natural) * (0.85 * person.makeup[:, 1])[:, None]

"""What a person wears: cloth, necklace, earrings, glasses, hats."""

from __future__ import annotations

import torch

from .canvas import Canvas
from .frame import Frame
from .shapes import (
    at,
    columns,
    cover,
    ellipse,
    linear,
    mix,
    paint,
    ramp,
    soft_min,
    spot,
    squircle,
    stroke,
    texture,
)

PLAIN, STRIPES, HOOPS, CHECKS, JACKET, DOTS = range(6)
BEANIE, CAP, BRIMMED = range(3)


def draw_cloth(canvas: Canvas, frame: Frame) -> None:
    """Shoulders with a neckline, a pattern and folds; and the necklace in the neckline."""
    worn = frame.params.accessories
    u, v, px = frame.bu, frame.bv, frame.px
    depth, pointed, wide = columns(worn.neckline)
    slope = frame.slope
    shoulder = 1.14 - v + slope * (u.abs() - 0.35).clamp(min=0.0) + 0.3 * ramp(u.abs(), 0.8, 1.4)
    round_neck = ellipse(u, v - 1.1, wide, 0.12 + depth)
    v_neck = 0.75 * (u.abs() - (1.22 + 1.5 * depth - v) * 0.75)
    neck = mix(round_neck, torch.maximum(v_neck, u.abs() - wide), (pointed > 0.6).to(torch.float32))
    share = cover(torch.maximum(shoulder, -neck), px)

    kind = [at((worn.cloth_kind == k).to(torch.float32)) for k in range(6)]
    frequency, phase = columns(worn.cloth_scale)
    first, second = linear(worn.cloth_colour).unbind(1)
    around = u * frequency * (1.0 + 0.1 * v) * 6.2832 / 2.0 + phase * 6.2832
    along = (v + 0.12 * u * u) * frequency * 6.2832 / 2.0 + phase * 6.2832
    sharp = 4.0
    bars = (torch.sin(around) * sharp).clamp(-1.0, 1.0) * 0.5 + 0.5
    hoops = (torch.sin(along) * sharp).clamp(-1.0, 1.0) * 0.5 + 0.5
    dots = ((torch.sin(around * 1.3) * torch.sin(along * 1.3) - 0.45) * sharp).clamp(0.0, 1.0)
    lapel = ramp(u.abs() - 0.1 - 0.5 * (1.85 - v), 0.03, -0.03)
    second_share = (
        kind[STRIPES] * bars
        + kind[HOOPS] * hoops
        + kind[CHECKS] * 0.5 * (bars + hoops)
        + kind[JACKET] * lapel
        + kind[DOTS] * dots
    )
    noise = texture(frame.params.identity.hair.noise, u * 0.09 + 0.2, v * 0.07)
    folds = 1.0 + 0.16 * noise[:, 1] - 0.3 * kind[JACKET] * stroke(u.abs() - 0.1 - 0.5 * (1.85 - v), 0.02, px)
    light = paint(first[:, :, None, None].expand(-1, -1, frame.size, frame.size), second, second_share)
    towards = frame.facing((u * 0.5).clamp(-0.9, 0.9), -0.35 * ramp(shoulder, -0.4, 0.0) + 0.15)
    edge = stroke(neck - 0.025, 0.025, px) * 0.25
    under = 1.0 - 0.4 * spot(frame.u + 0.3 * frame.light[0], v - 1.1, 0.65, 0.35)
    light = light * frame.lit(towards * under) * (folds * (1.0 - edge))[:, None]
    canvas.add("cloth", share, light)


def draw_necklace(canvas: Canvas, frame: Frame) -> None:
    """A chain that hangs around the neck, with a pendant."""
    worn = frame.params.accessories
    u, v, px = frame.bu, frame.bv, frame.px
    drop = 1.26 + 0.12 * at(worn.neckline[:, 0])
    chain_y = v - drop + 0.85 * u * u
    beads = 0.8 + 0.2 * torch.sin(u * 55.0)
    share = stroke(chain_y, 0.026, px) * ramp(u.abs(), 0.46, 0.4)
    share = torch.maximum(share, cover(ellipse(u, v - drop - 0.06, 0.05, 0.065), px))
    lit = frame.lit(frame.facing(u, torch.full_like(v, -0.3)) * beads + 0.15)
    canvas.add("neck_l", share * at(worn.necklace), linear(worn.jewel_colour)[:, :, None, None] * lit)


def draw_earrings(canvas: Canvas, frame: Frame) -> None:
    """A stud, drop or hoop under each ear; they hang straight down however the head rolls."""
    worn = frame.params.accessories
    kind, size = columns(worn.earring_shape)
    width = at(frame.params.identity.head[:, 0])
    sign = (frame.u > 0.0).to(torch.float32) * 2.0 - 1.0
    x = frame.u - sign * (width * 1.0 + 0.03) + 0.2 * frame.yaw
    y = frame.v - 0.36 - 0.6 * frame.pitch
    hoop = (kind > 0.6).to(torch.float32)
    drop = ellipse(x, y - size * (0.3 + 1.2 * kind), size * 0.8, size * (0.9 + 1.2 * kind))
    ring = (ellipse(x, y - 1.5 * size, 1.5 * size, 1.7 * size)).abs() - 0.024
    # Seen from the side the far ear is behind the head.
    hidden = ramp(sign * frame.yaw, 0.1, 0.2)
    share = cover(mix(drop, ring, hoop), frame.px) * (1.0 - hidden) * at(worn.earrings)
    glow = 0.35 * spot(x + 0.02, y - size * 0.5, size * 0.5, size * 0.5)
    lit = frame.lit(frame.facing(x * 4.0, y * 2.0).clamp(0.1, 1.0) + 0.15)
    canvas.add("ear_r", share, linear(worn.jewel_colour)[:, :, None, None] * lit + glow[:, None])


def draw_glasses(canvas: Canvas, frame: Frame) -> None:
    """Lenses with a tint and a reflection, frames, bridge and temples."""
    worn, person, px = frame.params.accessories, frame.params.identity, frame.px
    half, tall, square, thick, tint, droop = columns(worn.glasses_shape)
    ed, _, _, _, ey = columns(person.eyes)
    width = at(person.head[:, 0])
    on = at(worn.glasses)
    # Glasses sit in front of the face, so they move further when it turns.
    x = frame.uf - 0.05 * torch.sin(frame.yaw)
    mx = x.abs()
    lx = mx - (ed + 0.015).clamp(min=0.0) - (half - 0.215) * 0.5
    y = frame.vf - ey - 0.025 + 0.12 * frame.pitch
    ly = y - droop * lx * 0.5
    rim = squircle(
        lx,
        ly,
        half,
        tall * (1.0 + 0.5 * droop * (lx / half).clamp(-1.3, 1.3)),
        (square * 1.3 - 0.15).clamp(0.0, 0.93),
    )
    lens = cover(rim, px)
    frame_share = stroke(rim, thick, px)
    bridge = stroke(y + 0.045 - 0.25 * mx * mx, thick * 0.9, px) * cover(mx - ed + half * 0.9, px)
    outer = ed + half * 1.4
    temple = (
        stroke(y + 0.05, thick * 0.8, px)
        * ramp(mx, outer - 0.1, outer - 0.06)
        * cover(frame.u.abs() - width, px)
    )
    frame_share = torch.maximum(frame_share, torch.maximum(bridge, temple * (1.0 - lens)))
    colour = linear(worn.glasses_colour)
    lit = frame.lit(frame.facing(frame.u * 0.6, torch.full_like(y, -0.25)))
    # A window mirrored in the glass: a slanted streak.
    streak = lx + 0.7 * ly
    shine = ramp((streak + 0.06).abs(), 0.06, 0.03) + 0.6 * ramp((streak - 0.07).abs(), 0.025, 0.01)
    glass_share = (tint + 0.13 * shine * (0.4 + 0.6 * square)).clamp(max=0.6) * lens
    glass = paint(
        (colour * 0.5 + 0.02)[:, :, None, None].expand(-1, -1, frame.size, frame.size),
        torch.full_like(colour, 0.85),
        (shine * 0.8).clamp(max=1.0),
    )
    canvas.add("eye_g", glass_share * on, glass)
    rim_light = stroke(rim + thick * 0.5, thick * 0.4, px) * ramp(ly, 0.0, -0.1)
    metal = colour[:, :, None, None] * lit + 0.1 * rim_light[:, None]
    canvas.add("eye_g", frame_share * on, metal)


def draw_hat(canvas: Canvas, frame: Frame) -> None:
    """A knitted beanie, a cap with a visor, or a hat with a brim all around."""
    worn, hair = frame.params.accessories, frame.params.identity.hair
    px, on = frame.px, at(worn.hat)
    tall, line, brim, tilt = columns(worn.hat_shape)
    kind = [at((worn.hat_kind == k).to(torch.float32)) for k in range(3)]
    width = at(frame.params.identity.head[:, 0])
    v = frame.v - tilt * frame.u - 0.5 * frame.pitch
    u = frame.u
    # Wide enough for the head and some of the hair, which otherwise would show around it.
    half = width + 0.05 + 0.6 * at(hair.side).clamp(max=0.12)
    top = 1.06 + 0.5 * at(hair.top).clamp(max=0.14)
    rise = kind[BEANIE] * (0.02 + 0.16 * tall) + kind[CAP] * 0.03 + kind[BRIMMED] * (0.12 + 0.14 * tall)
    bulge = 0.10 * (u / half) ** 2
    lower = v - line - bulge * (kind[BEANIE] + kind[CAP] - 0.4 * kind[BRIMMED])
    dome = squircle(
        u,
        (v - line).clamp(max=0.0),
        half * (1.0 - 0.07 * kind[BRIMMED] * ramp(v, -0.6, -1.1)),
        top + line + rise,
        0.35 * kind[CAP] + 0.55 * kind[BRIMMED] + 0.3 * kind[BEANIE],
    )
    crown = torch.maximum(dome, lower)

    turned = 0.5 * torch.sin(frame.yaw)
    visor = ellipse(u - turned * 0.7, v - line - 0.03, half * 0.93, 0.12 + 0.06 * brim)
    visor = torch.maximum(visor, line - 0.06 - v + 0.9 * bulge)
    wide = ellipse(
        u - turned * 0.2, v - line + 0.02 - 0.1 * u * u, half * (1.36 + 0.35 * brim), 0.105 + 0.05 * brim
    )
    none = torch.full_like(u, 9.0)
    flap = mix(mix(none, visor, kind[CAP]), wide, kind[BRIMMED])
    distance = soft_min(crown, flap, 0.02)

    first, second = linear(worn.hat_colour).unbind(1)
    band = kind[BRIMMED] * ramp((v - line + 0.13).abs(), 0.08, 0.05) * cover(-flap, px)
    fold = kind[BEANIE] * ramp(lower, -0.24, -0.22)
    ribs = torch.sin(u / (half * 1.02) * (14.0 + 8.0 * brim) * (1.0 + 0.25 * (u / half) ** 2))
    pom = ellipse(u, v + top + rise + 0.06, 0.13, 0.12)
    has_pom = kind[BEANIE] * (brim > 0.6).to(torch.float32)
    distance = mix(distance, torch.minimum(distance, pom), has_pom)
    front = kind[CAP] * spot(u - turned, v - line + 0.27, 0.13, 0.1)
    light = first[:, :, None, None].expand(-1, -1, frame.size, frame.size)
    light = paint(
        light, second, (band + 0.85 * ramp(front, 0.45, 0.6) + 0.7 * fold * (tall > 0.5)).clamp(max=1.0)
    )
    towards = frame.facing((u / (half * 1.1)).clamp(-0.95, 0.95), ((v + 0.35) * 0.9).clamp(-0.9, 0.5))
    on_flap = cover(flap, px) * (kind[CAP] + kind[BRIMMED])
    towards = mix(
        towards, frame.facing(u * 0.2, torch.full_like(u, -0.55)) * (0.85 + 0.6 * (line - v)), on_flap
    )
    # A visor is seen edge on from above: bright rim, dark top.
    dim = 1.0 - kind[CAP] * on_flap * (0.5 - 0.45 * ramp(flap, -0.05, -0.01))
    knit = 1.0 + 0.13 * kind[BEANIE] * ribs * (0.5 + 0.5 * fold)
    seam = 1.0 - 0.3 * torch.maximum(
        kind[BEANIE] * stroke(lower + 0.23, 0.016, px),
        kind[CAP] * stroke(lower + 0.05, 0.02, px) * (1.0 - on_flap),
    )
    noise = texture(hair.noise, u * 0.15, v * 0.15)
    light = light * frame.lit(towards) * (knit * seam * dim * (1.0 + 0.07 * noise[:, 0]))[:, None]
    # The shadow of the brim on the forehead.
    shadow = ramp(v - line, 0.3 + 0.1 * brim, 0.0) * cover(u.abs() - width * 0.98, px)
    canvas.shade(on * 0.4 * shadow * (0.5 + 0.5 * (kind[CAP] + kind[BRIMMED])))
    canvas.add("hat", cover(distance, px) * on, light)

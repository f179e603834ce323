"""What is behind the person: out-of-focus rooms, streets, walls."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .frame import Frame
from .shapes import at, box, columns, ellipse, linear, mix, paint, ramp, spot, tint

STUDIO, OUTDOORS, BOKEH, SHELVES, WINDOW, STRIPES, TILES = range(7)


def draw_background(frame: Frame) -> Tensor:
    """Linear background `[B,3,H,W]`."""
    place = frame.params.surroundings
    x, y = frame.x, frame.y
    first, second, third = linear(place.palette).unbind(1)
    is_kind = [at((place.kind == k).to(torch.float32)) for k in range(7)]
    p = columns(place.pattern)

    clouds = F.interpolate(place.clouds, size=(frame.size, frame.size), mode="bicubic", align_corners=False)
    angle = 6.2832 * place.pattern[:, 0]
    along = at(torch.cos(angle)) * x + at(torch.sin(angle)) * y
    # A gradient with clouds in it; in a studio the light pools behind the head.
    pool = 1.2 * spot(x - (p[1] - 0.5), y + 0.2, 1.0, 1.0) - 0.3
    level = ramp(mix(0.5 + 0.35 * along + 0.3 * clouds[:, 0], pool, is_kind[STUDIO]), -0.25, 1.25)
    light = paint(first[:, :, None, None].expand(-1, -1, frame.size, frame.size), second, level)
    foliage = ramp(clouds[:, 1], -0.2, 0.5) * is_kind[OUTDOORS]
    light = paint(light, third * 0.7, 0.75 * foliage)
    sky = is_kind[OUTDOORS] * ramp(y + 0.25 * clouds[:, 2], -0.2, -0.75)
    light = paint(light, linear(tint([0.86, 0.92, 0.98], first)).expand_as(first), 0.8 * sky)
    light = paint(light, third, _bars(frame, x, y, along, is_kind, p))
    return _objects(frame, light, is_kind, third) * (0.9 + 0.1 * clouds[:, 2:3])


def _bars(
    frame: Frame, x: Tensor, y: Tensor, along: Tensor, is_kind: list[Tensor], p: list[Tensor]
) -> Tensor:
    """Share of the third colour in shelves, window frames, stripes and tiles."""
    soft = 0.04 + 0.10 * p[3]
    count = 1.6 + 2.2 * p[1]

    def rails(coordinate: Tensor, width: Tensor | float) -> Tensor:
        wave = (coordinate - torch.floor(coordinate) - 0.5).abs()
        return ramp(wave, width + soft, width - soft)

    across, down = x * count + p[2], y * count + p[3]
    shelves = rails(down * 0.8, 0.08)
    window = torch.maximum(rails(across * 0.55, 0.06), rails(down * 0.5, 0.05))
    stripes = 0.6 * rails(along * count * 1.5 + p[2], 0.22 + 0.1 * p[3])
    checks = (torch.sin(3.1416 * across) * torch.sin(3.1416 * down) * 4.0).clamp(-1.0, 1.0)
    return (
        0.8 * is_kind[SHELVES] * shelves
        + 0.75 * is_kind[WINDOW] * window
        + is_kind[STRIPES] * stripes
        + is_kind[TILES] * (0.22 + 0.2 * checks)
    ).clamp(0.0, 1.0)


def _objects(frame: Frame, light: Tensor, is_kind: list[Tensor], accent: Tensor) -> Tensor:
    """Things in the background: discs of light, books on shelves, blurred boxes elsewhere."""
    place = frame.params.surroundings
    bokeh, shelves = is_kind[BOKEH], is_kind[SHELVES]
    few = (bokeh + shelves + 0.7 * is_kind[OUTDOORS] + 0.55 * is_kind[WINDOW] + 0.35 * is_kind[TILES]).clamp(
        max=1.0
    )
    for i, item in enumerate(place.shapes.unbind(1)):
        ox, oy, size, aspect, hue, value, soft = columns(item)
        # Off to the sides, where the head does not hide them.
        cx = (ox * 2.0 - 1.0) * 1.05
        cy = oy * 2.0 - 1.1
        radius = 0.07 + 0.2 * size
        disc = ellipse(frame.x - cx, frame.y - cy, radius, radius)
        tall = radius * mix(0.5 + aspect, 0.9 + 1.1 * aspect, shelves)
        slab = box(
            frame.x - cx, frame.y - cy, radius * mix(torch.ones_like(shelves), shelves * 0.45, shelves), tall
        )
        blur = 0.03 + 0.14 * soft * (1.0 - 0.6 * bokeh)
        inside = ramp(mix(slab, disc, bokeh), blur, -blur)
        tint = torch.stack([hue, 1.0 - (2.0 * hue - 1.0).abs(), 1.0 - hue], 1)[:, :, 0, 0]
        colour = linear((0.25 + 0.75 * tint) * value[:, :, 0] * 0.9 + 0.05)
        near = accent if i % 2 else accent.roll(-1, 1)
        colour = 0.5 * colour + 0.5 * near * (0.4 + 0.8 * value[:, :, 0])
        # Out-of-focus lamps are brighter than what is around them.
        colour = colour + bokeh[:, :, 0] * (0.35 + 0.6 * accent)
        light = paint(
            light, colour, few * inside * mix(0.85 * torch.ones_like(soft), 0.35 + 0.4 * soft, bokeh)
        )
    return light

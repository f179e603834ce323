"""From parameters to pictures and masks."""

from __future__ import annotations

import torch
from torch import Tensor

from .backdrop import draw_background
from .canvas import CLASSES, Canvas
from .features import draw_brows, draw_eyes, draw_mouth
from .frame import Frame
from .hair import HairShape, draw_back_hair, draw_front_hair
from .parameters import FaceParameters
from .shapes import at, sensor_noise
from .skin import draw_ears, draw_head, draw_neck, skin_colour
from .worn import draw_cloth, draw_earrings, draw_glasses, draw_hat, draw_necklace

_CHUNK = 32
"""Faces drawn at once: few enough for the fields to stay in a core's cache."""


@torch.no_grad()
def render(params: FaceParameters, size: int, face: FaceParameters | None = None) -> tuple[Tensor, Tensor]:
    """Draw a batch of faces.

    Args:
        params: B faces.
        size: side of the square pictures in pixels.
        face: whose head, ears, features and glasses are drawn, where that is somebody else
            (:func:`~.parameters.with_face`); hair, neck, clothes, hat and background stay those of `params`.

    Returns:
        Pictures `[B,3,size,size]` in [0,1] and soft masks `[B,19,size,size]` (order of
        :data:`~.canvas.CLASSES`) which are in [0,1] and sum to 1 at every pixel. A face looks the same
        in any batch.
    """
    face = params if face is None else face
    if params.device.type != "cpu":
        return _render(params, face, size)
    images = torch.empty(len(params), 3, size, size)
    masks = torch.empty(len(params), len(CLASSES), size, size)
    for start in range(0, len(params), _CHUNK):
        idx = torch.arange(start, min(start + _CHUNK, len(params)))
        drawn = _render(params.select(idx), face.select(idx), size)
        images[idx[0] : idx[-1] + 1], masks[idx[0] : idx[-1] + 1] = drawn
    return images, masks


def _render(params: FaceParameters, face_params: FaceParameters, size: int) -> tuple[Tensor, Tensor]:
    frame, face = Frame(params, size), Frame(face_params, size)
    skin = skin_colour(face)
    hair = HairShape(frame)
    canvas = Canvas(draw_background(frame))
    draw_back_hair(canvas, hair)
    draw_neck(canvas, frame, skin_colour(frame))
    draw_cloth(canvas, frame)
    draw_necklace(canvas, frame)
    draw_ears(canvas, face, skin)
    draw_head(canvas, face, skin)
    draw_eyes(canvas, face, skin)
    draw_brows(canvas, face)
    draw_mouth(canvas, face, skin)
    draw_front_hair(canvas, hair)
    draw_earrings(canvas, frame)
    draw_glasses(canvas, face)
    draw_hat(canvas, frame)
    picture, masks = canvas.flatten()
    return _camera(frame, picture), masks


def _camera(frame: Frame, light: Tensor) -> Tensor:
    """Exposure, vignette, a little blur, the tone curve and the sensor's noise: `[B,3,H,W]` in [0,1]."""
    place = frame.params.surroundings
    fall_off = 1.0 - at(place.vignette) * 0.5 * (frame.x**2 + frame.y**2)
    light = light * (at(place.exposure) * fall_off)[:, None]
    amount = 0.25 * at(place.blur)[:, None]
    for dim in (2, 3):
        step = max(1, round(frame.size / 96))
        size = light.shape[dim]
        here = torch.arange(size, device=light.device)
        before, after = (here - step).clamp(min=0), (here + step).clamp(max=size - 1)
        around = 0.5 * (light.index_select(dim, before) + light.index_select(dim, after))
        light = light + (around - light) * amount
    image = torch.sqrt(light.clamp(min=0.0))
    # Highlights roll off instead of clipping.
    over = (image - 0.75).clamp(min=0.0)
    image = image - over * over / (over + 0.5)
    noise = sensor_noise(place.grain_key, frame.size)
    return (image + at(place.grain)[:, None] * noise).clamp(0.0, 1.0)

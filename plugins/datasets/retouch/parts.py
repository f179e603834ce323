"""Soft masks of the face's parts from landmarks, a hair mask and a person mask: guesses, not truth.

Brows, eyes, nose and lips are polygons of the mesh; skin is its oval and whatever of the head is above the
eyes and no hair. Of the rest of the person, what is beside the oval at the height of eyes and nose counts as
ears, what is close below the chin as neck, and everything else as cloth. Hats and jewellery are not known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional import CLASSES

from . import mesh
from .shapes import inside, places, polygon


def part_masks(hair: Tensor, person: Tensor, points: Tensor, rims: Tensor | None = None) -> Tensor:
    """`[B,19,S,S]` over `CLASSES`, in [0,1] with sum 1 at each pixel.

    Args:
        hair, person: soft masks, `[B,1,S,S]` in [0,1].
        points: `[B,468,2]` in pixels of the masks.
        rims: coverage by glasses, `[B,1,S,S]`; none if left out.
    """
    size = hair.shape[-1]
    hair = ((hair - 0.25) / 0.5).clamp(0, 1)
    person = torch.maximum(((person - 0.25) / 0.5).clamp(0, 1), hair)
    masks = dict.fromkeys(CLASSES, torch.zeros_like(hair))
    masks["background"] = torch.ones_like(hair)

    def paint(name: str, share: Tensor) -> None:
        for other in masks:
            masks[other] = masks[other] * (1 - share)
        masks[name] = masks[name] + share

    paint("cloth", person)
    regions = _around(points, size)
    for name in ("neck", "l_ear", "r_ear", "skin"):
        paint(name, regions[name] * person)
    paint("skin", polygon(mesh.line(points, mesh.OVAL), size) * person)
    for name, outline in (
        ("nose", mesh.NOSE),
        ("l_brow", mesh.LEFT_BROW),
        ("r_brow", mesh.RIGHT_BROW),
        ("l_eye", mesh.LEFT_EYE),
        ("r_eye", mesh.RIGHT_EYE),
        ("u_lip", mesh.UPPER_LIP),
        ("l_lip", mesh.LOWER_LIP),
        ("mouth", mesh.MOUTH),
    ):
        paint(name, polygon(mesh.line(points, outline), size))
    # Hair over the forehead and in front of the ears, but not where the mask took a beard or shade for it.
    paint("hair", hair * (1 - regions["inner"]))
    if rims is not None:
        paint("eye_g", rims)
    return torch.cat([masks[name] for name in CLASSES], 1)


def _around(points: Tensor, size: int) -> dict[str, Tensor]:
    """Regions around the face, `[B,1,S,S]` each, in the frame of the eyes."""
    left, right = mesh.eyes(points)
    distance, across, down = mesh.axes(left, right)
    at = places(size, points)
    off = at - ((left + right) / 2)[:, None, None]
    u = (off * across[:, None, None]).sum(-1)
    v = (off * down[:, None, None]).sum(-1)

    def along(point: int, axis: Tensor) -> Tensor:
        return ((points[:, point] - (left + right) / 2) * axis).sum(1)[:, None, None]

    d = distance[:, :, None]
    chin, low, high = along(mesh.CHIN, down), along(mesh.LEFT_JAW, across), along(mesh.RIGHT_JAW, across)
    ear = torch.maximum(-0.25 * d - v, v - 0.9 * d)
    oval = mesh.line(points, mesh.OVAL)
    middle = oval.mean(1, keepdim=True)
    return {
        "neck": inside(torch.maximum(torch.maximum(low - u, u - high), v - chin - 0.3 * d)),
        "l_ear": inside(torch.maximum(ear, u)),
        "r_ear": inside(torch.maximum(ear, -u)),
        "skin": inside(v + 0.25 * d),
        "inner": polygon(middle + 0.8 * (oval - middle), size),
    }

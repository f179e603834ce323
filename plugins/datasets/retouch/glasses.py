"""Drawn glasses: two rims, a bridge, temples and lightly tinted lenses, placed by the landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from magdr_core.api import SampleRng

from . import mesh
from .shapes import inside, places, to_segment

LEAST_EXPONENT, MOST_EXPONENT = 2.0, 4.0
"""Outlines of lenses are superellipses: 2 is an ellipse, more is nearly a rectangle."""


@dataclass(frozen=True, eq=False)
class Frames:
    """What glasses look like, `[B]` each; lengths in distances of the eyes.

    Attributes:
        wide, tall: half the sides of a lens.
        exponent: of the superellipse that a lens is.
        thick: of the rim.
        tint: share of the light that a lens keeps back, in [0,1].
        colour: `[B,3]` of the rim, RGB in [0,1].
    """

    wide: Tensor
    tall: Tensor
    exponent: Tensor
    thick: Tensor
    tint: Tensor
    colour: Tensor

    @classmethod
    def ordinary(cls, like: Tensor) -> Frames:
        """Dark oval ones, for each row of a tensor. What an editor shall learn to draw has to be predictable:
        the mean over all glasses there are is a grey haze."""
        wide, tall, exponent, thick, tint = (
            like.new_full((len(like),), value) for value in (0.36, 0.28, LEAST_EXPONENT, 0.055, 0.1)
        )
        colour = like.new_tensor([0.11, 0.095, 0.095]).expand(len(like), 3)
        return cls(wide, tall, exponent, thick, tint, colour)

    @classmethod
    def drawn(cls, rng: SampleRng) -> Frames:
        """Of any shape and colour, one for each stream: mostly dark, some metal, some colourful."""
        u = rng.uniform(6)
        colour = rng.uniform(3)
        dark, metal = u[:, 5:] < 0.6, u[:, 5:] > 0.85
        grey = colour.mean(1, keepdim=True)
        colour = torch.where(dark, 0.25 * colour, torch.where(metal, 0.45 + 0.4 * grey.expand(-1, 3), colour))
        return cls(
            wide=0.30 + 0.12 * u[:, 0],
            tall=0.19 + 0.13 * u[:, 1],
            exponent=LEAST_EXPONENT + (MOST_EXPONENT - LEAST_EXPONENT) * u[:, 2],
            thick=0.025 + 0.05 * u[:, 3],
            tint=0.25 * u[:, 4].square(),
            colour=colour,
        )


def glasses_masks(points: Tensor, frames: Frames, size: int) -> tuple[Tensor, Tensor]:
    """(rims with bridge and temples, lenses): coverage `[B,1,size,size]` in [0,1]."""
    left, right = mesh.eyes(points)
    distance, u, v = mesh.axes(left, right)
    at = places(size, points)
    thick = (frames.thick[:, None] * distance)[:, :, None]
    wide, tall = (half[:, None] * distance for half in (frames.wide, frames.tall))
    power = frames.exponent[:, None, None]
    rims, lenses = [], []
    for centre in (left, right):
        off = at - centre[:, None, None]
        x = (off * u[:, None, None]).sum(-1).abs() / wide[:, :, None]
        y = (off * v[:, None, None]).sum(-1).abs() / tall[:, :, None]
        radius = (x**power + y**power + 1e-9) ** (1 / power)
        # To first order the distance to the outline, along the ray from the lens's middle.
        away = off.norm(dim=-1) * (1 - 1 / radius.clamp_min(1e-3))
        rims.append(inside(away.abs() - thick / 2))
        lenses.append(inside(away))
    lines = (
        (left + u * wide, right - u * wide),
        (left - u * wide, points[:, mesh.LEFT_TEMPLE]),
        (right + u * wide, points[:, mesh.RIGHT_TEMPLE]),
    )
    rims += [inside(to_segment(at, start, end) - thick / 2) for start, end in lines]
    rim = torch.cat(rims, 1).amax(1, keepdim=True)
    return rim, torch.cat(lenses, 1).amax(1, keepdim=True) * (1 - rim)


def wearing(x: Tensor, points: Tensor, frames: Frames) -> Tensor:
    """Pictures with glasses on the face, `[B,3,S,S]` in [0,1] -> same.

    Args:
        points: `[B,468,2]` in pixels.
    """
    rim, lens = glasses_masks(points, frames, x.shape[-1])
    behind = x * (1 - frames.tint[:, None, None, None] * lens)
    return torch.where(rim > 0, behind + rim * (frames.colour[:, :, None, None] - behind), behind)

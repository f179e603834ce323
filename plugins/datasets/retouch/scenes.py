"""Photographs as they are edited, and their variations: place, light, background, hair and glasses.

Everything is done at twice the size and shrunk at the end, so that edits have the sharpness of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import SampleRng
from magdr_core.functional import to_8bit

from .edits import HAIR, edited
from .glasses import Frames, glasses_masks, wearing
from .hair import hair_region, recoloured
from .parts import part_masks

FINER = 2
"""How many times the side that comes out pictures are worked on."""

REPLACED, RECOLOURED, BESPECTACLED = 0.6, 0.35, 0.15
"""How often a variation has another background, hair of another colour, and glasses."""

SCALE, TURN, SHIFT = 0.12, math.radians(8), 0.05
"""Largest changes of size (as a share), of angle, and of place in sides of the picture."""

GAIN, OFFSET, TINT, SATURATION = (0.75, 1.2), 18 / 255, 0.08, (0.7, 1.2)
"""Of the tone: factor, largest offset, largest change of a colour's factor, factor of the colours."""

GRID = 7
"""Colours across a mottled background."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Photographs before the last step, `FINER` times their size.

    Attributes:
        x: `[B,3,W,W]` in [0,1].
        hair, person: soft masks, `[B,1,W,W]` in [0,1].
        points: `[B,468,2]` in pixels of `x`.
        region: the hair that is recoloured, `[B,1,W,W]`.
        frames: what glasses look like that an edit puts on.
        worn: the glasses that the pictures have already, where bool `[B]` `has_glasses`.
        tone: `[B,6]`: gain, offset, factors of red, green and blue, saturation; None leaves it.
    """

    x: Tensor
    hair: Tensor
    person: Tensor
    points: Tensor
    region: Tensor
    frames: Frames
    worn: Frames
    has_glasses: Tensor
    tone: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor, hair: Tensor, person: Tensor, points: Tensor) -> Scene:
        """Photographs as they are."""
        ordinary = Frames.ordinary(points[:, 0, 0])
        none = torch.zeros(len(x), dtype=torch.bool)
        return cls(x, hair, person, points, hair_region(hair, person, points), ordinary, ordinary, none)

    def images(self, wishes: Mapping[str, Tensor]) -> Tensor:
        """8-bit pictures with these edits, `[B,3,W/2,W/2]`; see :func:`.edits.edited`."""
        x = self.x
        if wishes:
            x = edited(x, self.region, self.points, wishes, self.frames)
        return to_8bit(F.avg_pool2d(self._toned(x), FINER))

    def _toned(self, x: Tensor) -> Tensor:
        if self.tone is None:
            return x
        gain, offset, red, green, blue, saturation = self.tone[:, :, None, None, None].unbind(1)
        x = x * gain * torch.cat([red, green, blue], 1) + offset
        grey = x.mean(1, keepdim=True)
        return (grey + (x - grey) * saturation).clamp(0, 1)

    def soft_masks(self) -> tuple[Tensor, Tensor]:
        """(hair, person), `[B,1,W/2,W/2]` each."""
        return F.avg_pool2d(self.hair, FINER), F.avg_pool2d(self.person, FINER)

    def parts(self) -> Tensor:
        """`[B,19,W/2,W/2]`, see :func:`.parts.part_masks`."""
        hair, person = self.soft_masks()
        points = self.points / FINER
        rim, lens = glasses_masks(points, self.worn, hair.shape[-1])
        rims = (rim + self.worn.tint[:, None, None, None] * lens) * self.has_glasses[:, None, None, None]
        return part_masks(hair, person, points, rims)


def varied(
    x: Tensor, hair: Tensor, person: Tensor, points: Tensor, rng: SampleRng, *, any_frames: bool
) -> Scene:
    """Other pictures of the same faces.

    Args:
        x, hair, person, points: as in :class:`Scene`.
        rng: a stream for each.
        any_frames: glasses of all shapes where an edit puts them on, not the ordinary ones.
    """
    scene = Scene.of(*_moved(x, hair, person, points, rng))
    chance = rng.uniform(3)[:, :, None, None, None]
    person = ((torch.maximum(scene.person, scene.hair) - 0.3) / 0.4).clamp(0, 1)
    backdrop = _backdrop(rng, scene.x.shape[-1])
    x = torch.where(chance[:, 0] < REPLACED, backdrop + person * (scene.x - backdrop), scene.x)
    colour = rng.integers(high=len(HAIR))
    x = torch.where(chance[:, 1] < RECOLOURED, recoloured(x, scene.region, colour), x)
    worn, frames = Frames.drawn(rng), Frames.drawn(rng)
    has_glasses = (chance[:, 2] < BESPECTACLED).flatten()
    x = torch.where(chance[:, 2] < BESPECTACLED, wearing(x, scene.points, worn), x)
    u = rng.uniform(6)
    tone = torch.stack(
        [
            GAIN[0] + (GAIN[1] - GAIN[0]) * u[:, 0],
            OFFSET * (2 * u[:, 1] - 1),
            *(1 + TINT * (2 * u[:, i] - 1) for i in (2, 3, 4)),
            SATURATION[0] + (SATURATION[1] - SATURATION[0]) * u[:, 5],
        ],
        1,
    )
    return replace(
        scene,
        x=x,
        frames=frames if any_frames else scene.frames,
        worn=worn,
        has_glasses=has_glasses,
        tone=tone,
    )


def _moved(
    x: Tensor, hair: Tensor, person: Tensor, points: Tensor, rng: SampleRng
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scaled, turned and shifted about the middle; borders are mirrored."""
    u = 2 * rng.uniform(4) - 1
    scale, turn, shift = 1 + SCALE * u[:, 0], TURN * u[:, 1], SHIFT * u[:, 2:]
    cosine, sine = turn.cos(), turn.sin()
    forward = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    forward = scale[:, None, None] * forward
    size = x.shape[-1]
    points = (points - size / 2) @ forward.transpose(1, 2) + size / 2 + size * shift[:, None]
    back = torch.linalg.inv(forward)
    theta = torch.cat([back, -back @ (2 * shift[:, :, None])], 2)
    whole = torch.cat([x, hair, person], 1)
    grid = F.affine_grid(theta, list(whole.shape), align_corners=False)
    whole = F.grid_sample(whole, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)
    x, hair, person = whole.split([3, 1, 1], 1)
    return x, hair, person, points


def _backdrop(rng: SampleRng, size: int) -> Tensor:
    """Drawn backgrounds, `[B,3,size,size]` in [0,1]: plain, shaded from side to side, or mottled."""
    kind = rng.integers(high=4)[:, None, None, None]
    colours = rng.uniform(3, GRID, GRID)
    grey = colours.mean(1, keepdim=True)
    colours = grey + (colours - grey) * rng.uniform()[:, None, None, None]
    first, last = colours[:, :, :1, :1], colours[:, :, -1:, -1:]
    ramp = torch.linspace(0, 1, size)
    across = torch.where(rng.uniform()[:, None, None, None] < 0.5, ramp[None, :], ramp[:, None])
    shaded = first + (last - first) * across
    soft = F.interpolate(colours[:, :, :4, :4], (size, size), mode="bicubic", align_corners=False)
    mottled = F.interpolate(colours, (size, size), mode="bilinear", align_corners=False)
    y = torch.where(kind == 0, first, torch.where(kind == 1, shaded, torch.where(kind == 2, soft, mottled)))
    return y.clamp(0, 1)

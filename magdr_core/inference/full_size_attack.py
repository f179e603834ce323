"""Attacks on the pixels of a picture itself, through the cut that a generator will be given.

A perturbation that was found at a generator's size and enlarged loses much of its effect when the written
picture is cut and shrunk again. So the pixels of the picture are perturbed, and the gradient comes through
the soft edge, the storing, and the shrinking.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.joint_objective import JointObjective
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.functional import clamp_inclusive, jpeg, straight_through, to_8bit
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.inference.loaded import Loaded
from magdr_core.inference.sources import PictureSource
from magdr_core.media import Box, cut, paste_change, without_colours
from magdr_core.media.faces import placed, soft_edge

S = TypeVar("S", bound=PictureSource)

LARGEST = 512
"""Pixels a side of what is perturbed; the perturbation of a larger face is enlarged."""

LOOKS = 8
"""Other cuts of the face that the perturbation is made for, too."""

OFF = (0.02, 0.015, 0.05)
"""How far those lie from the first one at most: rows and columns as shares of its side, and its side itself.
Measured: of 28 photographs that were changed by up to 6 levels the finder's square moved by .019, .007 and
.037 of its side on average."""

BLOCK = 16
"""Pixels a side of what JPEG codes together, where colours have half the resolution."""


@dataclass(frozen=True, eq=False)
class ThroughACut:
    """What becomes of a perturbed patch on its way to the generator; differentiable.

    Attributes:
        patch: `[1,3,s,s]` in [0,1], the clean one.
        edge: `[s,s]` in [0,1], how much of a change is put into the picture.
        window: (top, left, side) of what is cut out of the patch, in its pixels.
        size: side of what the generator is given.
        quality: of the JPEG that the picture is stored as; None: without loss.
        corner: row and column of the patch in the picture, from which JPEG's blocks are counted; None where
            the patch does not show the picture pixel by pixel, and so has no such blocks.
    """

    patch: Tensor
    edge: Tensor
    window: tuple[int, int, int]
    size: int
    quality: int | None = None
    corner: tuple[int, int] | None = (0, 0)

    def __call__(self, x: Tensor) -> Tensor:
        """`[1,3,s,s]` in [0,1] -> `[1,3,size,size]`, 8-bit, with the gradient of what was rounded."""
        z = self.patch + self.edge * (x - self.patch)
        if self.quality is not None:
            z = self._stored(z, self.quality)
        top, left, side = self.window
        z = z[:, :, top : top + side, left : left + side]
        if side != self.size:
            size = (self.size, self.size)
            z = F.interpolate(z, size, mode="bicubic", align_corners=False, antialias=True)
        z = clamp_inclusive(z)
        return straight_through(to_8bit(z), z)

    def _stored(self, z: Tensor, quality: int) -> Tensor:
        if self.corner is None:  # other blocks than the file's: their edges are no use
            return jpeg(z, quality, gradient="straight-through")
        top, left = (place % BLOCK for place in self.corner)
        return jpeg(F.pad(z, (left, 0, top, 0), mode="replicate"), quality)[:, :, top:, left:]


def attack_picture(
    levels: Tensor,
    box: Box,
    c: Condition,
    attack: GuardedAttack,
    generator: GuardedGenerator,
    device: torch.device,
    *,
    rng: SampleRng,
    quality: int | None = None,
) -> Tensor:
    """The picture with its face perturbed so that the generator is disrupted by what is cut out of it.

    Whoever cuts the face out again does not meet the same pixels: the perturbation is made for several cuts
    at once, whose mean loss is ascended (expectation over transformations, Athalye et al., ICML 2018).

    Args:
        levels: `[3,H,W]` uint8.
        box: the place of the face.
        c: of one row, on the device.
        rng: of one stream.
        quality: of the JPEG that the perturbation shall survive; None for none.

    Returns:
        `[3,H,W]` uint8; no pixel has moved further than the attack's eps, if that is its bound.

    Raises:
        ComponentError: the attack or the generator fails.
    """
    kind, size = attack.objective or generator.objective, generator.size
    if attack.learns:  # what it has learned is of the generator's size, and for no way through a file
        face = cut(levels, box, size)
        aim = build_objective(kind, generator, face[None].to(device), c)
        changed = attack(face[None].to(device), aim, rng=rng)
        return paste_change(levels, box, face, changed[0].cpu(), limit=attack.limit)
    small = box.side <= size  # pixels of the generator's own size, or less: there is nothing beside the cut
    wide = box if box.angle or small else widened(box, *levels.shape[1:])
    share = min(1.0, LARGEST / wide.side)
    side = max(size, round(wide.side * share))
    patch = cut(levels, wide, side)
    edge = (torch.ones(side, side) if small else soft_edge(wide, levels, side)).to(device)
    clean = patch[None].to(device)
    corner = (wide.top, wide.left) if side == wide.side and not wide.angle else None
    aims = []
    for window in windows_in(box, wide, share, side, rng):
        f = ThroughACut(clean, edge, window, size, quality, corner)
        aims.append(build_objective(kind, generator, f(clean), c).preprocessed(f))
    changed = attack(clean, JointObjective(aims), rng=rng.fork(1))
    return paste_change(levels, wide, patch, changed[0].cpu(), limit=attack.limit)


def attacked(
    one: Loaded[S],
    c: Condition,
    attack: GuardedAttack,
    generator: GuardedGenerator,
    device: torch.device,
    *,
    seed: int,
    quality: int | None = None,
) -> Loaded[S]:
    """A picture with its face perturbed, grey if it was, and the cut of it in the same place.

    Args:
        c, attack, generator, device, quality: of :func:`attack_picture`.
        seed: of the attack's random choices, which the picture's name and the attack's label change.

    Raises:
        ComponentError: the attack or the generator fails.
    """
    rng = SampleRng(seed, f"attack/{attack.label}", [one.given.name], device=device)
    changed = attack_picture(one.levels, one.box, c, attack, generator, device, rng=rng, quality=quality)
    if one.grey and changed is not one.levels:
        changed = without_colours(changed)
    return replace(one, levels=changed, face=cut(changed, one.box, generator.size))


def widened(box: Box, height: int, width: int) -> Box:
    """A square around a cut with room for those a little off it, moved or shrunk into the picture."""
    return placed(*box.centre, box.side * (1 + 2 * OFF[0] + OFF[2]), height, width)


def windows_in(box: Box, wide: Box, share: float, side: int, rng: SampleRng) -> list[tuple[int, int, int]]:
    """The cut and others near it, as (top, left, side) in pixels of a patch of `side`.

    Args:
        box: the cut; of a turned one, and of one that the patch shows just so, there are no others.
        wide: what the patch shows.
        share: pixels of the patch to one of the picture.
    """
    if box.angle or box == wide:
        return [(0, 0, side)]
    draws = rng.uniform(LOOKS, 3, low=-1.0, high=1.0)[0].tolist()
    found = []
    for down, right, larger in [[0.0, 0.0, 0.0], *draws]:
        length = min(side, max(1, round(box.side * (1 + OFF[2] * larger) * share)))
        row, column = box.centre
        top = (row + OFF[0] * down * box.side - wide.top) * share - length / 2
        left = (column + OFF[1] * right * box.side - wide.left) * share - length / 2
        found.append((_inside(top, length, side), _inside(left, length, side), length))
    return found


def _inside(start: float, length: int, side: int) -> int:
    return min(max(round(start), 0), side - length)

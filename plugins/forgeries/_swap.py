"""Another face, or one part of it, laid over by its moments, with its colours drawn to the picture's."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import Batch, Forged, SampleRng
from magdr_core.functional import join_parts

from ._colour import matched, pick
from ._paste import feathered, paste, unforged
from ._regions import (
    FACE,
    LEAST_AREA,
    Affine,
    Moments,
    aligning,
    moments,
    moved,
    or_face,
    parts_of,
    root2,
    widened,
)

SPLICED: tuple[tuple[str, ...], ...] = (("eyes", "brows"), ("nose",), ("mouth",))
"""The parts that a splice takes; a patch of skin is the fourth choice."""

WIDENED = 2
"""How far a splice reaches beyond the part, in pixels of a picture of 64."""

PATCH = (0.45, 0.75)
"""Axes of a patch of skin, in standard deviations of the face."""


def slightly(rng: SampleRng) -> Affine:
    """A shift by up to half a pixel each way: resamples a picture as an alignment does, and moves nothing."""
    shift = rng.uniform(2, low=-0.5, high=0.5)
    same = torch.eye(2, device=rng.device).expand(len(rng), 2, 2)
    return Affine(same, torch.zeros_like(shift), shift)


class Swap:
    """The donor's face in the picture's, where both are face.

    Args:
        feather: least and largest standard deviation of the soft borders, in pixels of a picture of 64.
    """

    def __init__(self, *, feather: tuple[float, float] = (0.7, 2.0)) -> None:
        self.feather = feather

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        face, other = (or_face(join_parts(p, FACE), p) for p in (parts_of(batch), parts_of(donors)))
        by = aligning(moments(face), moments(other))
        return self._pasted(batch.images, face, donors.images, other, by, rng)

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The picture as its own donor, resampled by less than a pixel."""
        parts = parts_of(batch)
        face = or_face(join_parts(parts, FACE), parts)
        by = slightly(rng.fork(1))
        return unforged(self._pasted(batch.images, face, batch.images, face, by, rng).images)

    def _pasted(
        self, source: Tensor, face: Tensor, donor: Tensor, other: Tensor, by: Affine, rng: SampleRng
    ) -> Forged:
        both = face * moved(other, by)
        region = torch.where(both.amax((2, 3), keepdim=True) > 0.5, both, face)
        low, high = self.feather
        alpha = feathered(region, rng.uniform(1, low=low, high=high)[:, 0])
        return paste(source, matched(moved(donor, by), source, region), alpha)


class Splice:
    """One part of another face: eyes with brows, nose, mouth, or a patch of skin.

    Args:
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
    """

    def __init__(self, *, feather: float = 0.6) -> None:
        self.feather = feather

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        region, by = chosen_part(parts_of(batch), parts_of(donors), rng.fork(3))
        return self._pasted(batch.images, region, moved(donors.images, by), rng)

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The same part of the picture itself, resampled by less than a pixel."""
        parts = parts_of(batch)
        region, _ = chosen_part(parts, parts, rng.fork(3))
        content = moved(batch.images, slightly(rng.fork(1)))
        return unforged(self._pasted(batch.images, region, content, rng).images)

    def _pasted(self, source: Tensor, region: Tensor, content: Tensor, rng: SampleRng) -> Forged:
        alpha = feathered(region, region.new_full((len(region),), self.feather))
        amount = rng.fork(2).uniform(1, low=0.5)[:, 0]
        return paste(source, matched(content, source, region, amount), alpha)


def chosen_part(parts: Tensor, others: Tensor, rng: SampleRng) -> tuple[Tensor, Affine]:
    """Which part is forged, with equal chances among what both faces show; skin is always there.

    Args:
        parts, others: soft masks of the picture's and the donor's parts, `[B,12,H,W]`.

    Returns:
        where in the picture, `[B,1,H,W]`, and how to get to the same place of the donor.
    """
    least = LEAST_AREA * (parts.shape[-1] / 64) ** 2
    mine, theirs = ([join_parts(p, names) for names in SPLICED] for p in (parts, others))
    there = torch.stack([_enough(a, least) & _enough(b, least) for a, b in zip(mine, theirs, strict=True)], 1)
    anyway = torch.ones_like(there[:, :1])
    choice = torch.where(torch.cat([there, anyway], 1), rng.uniform(len(SPLICED) + 1), -1.0).argmax(1)
    face, other = (or_face(join_parts(p, FACE), p) for p in (parts, others))
    pairs = [*zip(mine, theirs, strict=True), (face, other)]
    by = [aligning(moments(a), moments(b)) for a, b in pairs]
    regions = [*(widened(a, round(WIDENED * parts.shape[-1] / 64)) for a in mine), _patch(face, rng)]
    chosen = Affine(*(pick(choice, list(column)) for column in zip(*by, strict=True)))
    return pick(choice, regions), chosen


def _enough(region: Tensor, least: float) -> Tensor:
    return region.sum(-1).sum(-1)[:, 0] >= least


def _patch(face: Tensor, rng: SampleRng) -> Tensor:
    """An ellipse somewhere in the face, `[B,1,H,W]` of 0/1, where that is face."""
    found = moments(face)
    low, high = PATCH
    radii, angle = rng.uniform(2, low=low, high=high), rng.uniform(2, low=-1.0)
    place = found.mean + (root2(found.spread) * angle[:, None]).sum(-1)
    patch = inside_ellipse(face, Moments(place, found.spread), radii)
    both = patch * (face > 0.5)
    return torch.where(both.amax((2, 3), keepdim=True) > 0, both, (face > 0.5).to(face.dtype))


def inside_ellipse(like: Tensor, about: Moments, radii: Tensor) -> Tensor:
    """`[B,1,H,W]` of 0/1, the pixels of `like` in an upright ellipse.

    Args:
        radii: `[B,2]`, x before y, in standard deviations.
    """
    axes = torch.stack([about.spread[:, 0, 0], about.spread[:, 1, 1]], 1).sqrt() * radii
    height, width = like.shape[-2:]
    x = torch.arange(width, device=like.device, dtype=like.dtype)[None, None] - about.mean[:, 0, None, None]
    y = (
        torch.arange(height, device=like.device, dtype=like.dtype)[None, :, None]
        - about.mean[:, 1, None, None]
    )
    inside = (x / axes[:, 0, None, None]) ** 2 + (y / axes[:, 1, None, None]) ** 2 <= 1
    return inside[:, None].to(like.dtype)

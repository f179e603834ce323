"""Cutting a face out of a picture at a generator's size, and putting a changed one back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from magdr_core.functional import round_toward, to_8bit
from magdr_core.media.tiles import enlarged, interpolated, like, strips, unit
from magdr_core.media.tilted import patch_of, pixels_of, sampled

MARGIN = 1.6
"""Side of the cut per side of the cascade's box. Measured: on aligned CelebA-HQ pictures the box is .62 of
the side, on drawn faces .61, so this cut frames a face as the data that face generators are trained on."""

LIFT = 0.05
"""How far the cut's centre lies above the box's, per side of the box; measured likewise (hair needs room)."""

SOFT = 0.08
"""Width of the soft edge of what is put back, per side of the cut."""


@dataclass(frozen=True)
class Box:
    """A square, in pixels: rows `top` to `top + side`, columns `left` to `left + side`, and then turned about
    its centre by `angle` degrees counter-clockwise, as what it shows is.

    It may reach beyond the picture only if it is turned.
    """

    top: int
    left: int
    side: int
    angle: float = 0.0

    @classmethod
    def around(cls, row: float, column: float, side: float, angle: float = 0.0) -> Box:
        """In whole pixels."""
        return cls(round(row - side / 2), round(column - side / 2), round(side), angle)

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column)"""
        return self.top + self.side / 2, self.left + self.side / 2

    def shifted(self, down: int, right: int) -> Box:
        return replace(self, top=self.top + down, left=self.left + right)

    def reaches(self, height: int, width: int) -> bool:
        """Whether any of it lies in a picture of this size."""
        angle = math.radians(self.angle)
        reach = self.side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle)))
        row, column = self.centre
        return -reach < row < height + reach and -reach < column < width + reach

    def overlap(self, other: Box) -> float:
        """The common area over the area of the smaller square, as if neither was turned."""
        height = min(self.top + self.side, other.top + other.side) - max(self.top, other.top)
        width = min(self.left + self.side, other.left + other.side) - max(self.left, other.left)
        return max(height, 0) * max(width, 0) / min(self.side, other.side) ** 2


def face_cut(face: Box, height: int, width: int) -> Box:
    """What is cut out around a face: `MARGIN` times its box, moved or shrunk to lie inside the picture,
    turned as the face is.
    """
    return cut_around(*face.centre, face.side, face.angle, height, width)


def cut_around(row: float, column: float, side: float, angle: float, height: int, width: int) -> Box:
    """The same around a face of which centre, side and angle are not in whole pixels."""
    lift, turn = side * LIFT, math.radians(angle)
    row, column = row - lift * math.cos(turn), column - lift * math.sin(turn)
    return placed(row, column, side * MARGIN, height, width, angle)


def placed(row: float, column: float, side: float, height: int, width: int, angle: float = 0.0) -> Box:
    """The square with this centre and side, in whole pixels, moved or shrunk to lie inside the picture. One
    that is turned stays where it is, its corners outside."""
    if angle:
        return Box.around(row, column, max(1.0, min(side, height, width)), angle)
    whole = max(1, min(round(side), height, width))
    top = min(max(round(row - whole / 2), 0), height - whole)
    left = min(max(round(column - whole / 2), 0), width - whole)
    return Box(top, left, whole)


def whole_cut(height: int, width: int) -> Box:
    """The largest square in the middle: for faces that are aligned already (CelebA's centre crop of 178)."""
    return placed(height / 2, width / 2, max(height, width), height, width)


def cut(image: Tensor, box: Box, size: int) -> Tensor:
    """The square at the generator's size: `[3,H,W] -> [3,size,size]`, antialiased, 8-bit levels.

    Args:
        image: in [0,1] or uint8.

    Returns:
        floating point in [0,1].
    """
    piece = patch_of(image, box) if box.angle else _inside(image, box)
    return to_8bit(unit(piece) if piece.shape[1] == size else interpolated(piece, (size, size), "bicubic"))


def paste(image: Tensor, box: Box, face: Tensor) -> Tensor:
    """Put a face in the place of the cut, with a soft edge; outside the cut nothing changes.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
        face: `[3,size,size]` in [0,1], what takes the place.

    Returns:
        a picture like `image`, of 8-bit levels.
    """
    if box.angle:
        return _pasted_tilted(image, box, face)
    done = image.clone()
    rows, columns = _edge(box, image)
    for old, new, colour in zip(_inside(image, box), _inside(done, box), face, strict=True):
        for here, wanted in enlarged(colour, box.side):
            was = unit(old[:, here])
            edge = rows[:, None] * columns[None, here]
            new[:, here] = like(to_8bit(was + edge * (wanted.clamp(0, 1) - was)), image)
    return done


def paste_change(
    image: Tensor, box: Box, before: Tensor, after: Tensor, *, limit: float | None = None
) -> Tensor:
    """Add to a picture what changed in its cut, so that the picture keeps what the small cut does not show.

    A face that was restored at 64 pixels would look blurred in a photograph; its *change* does not. The
    change is enlarged so that cutting the result gives `after` again, but for the soft edge (back-projection,
    Irani and Peleg, CVGIP 1991). Where nothing changed, not a bit of the picture does.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
        before: `[3,size,size]` in [0,1], the cut.
        after: `[3,size,size]`, what became of it.
        limit: no pixel of the picture may move further than that, in [0,1] units.

    Returns:
        a picture like `image`, of 8-bit levels; `image` itself if nothing changed.
    """
    if torch.equal(before, after):
        return image
    if box.angle:
        return _changed_tilted(image, box, after - before, limit)
    done = image.clone()
    rows, columns = _edge(box, image)
    for old, new, wanted in zip(_inside(image, box), _inside(done, box), after - before, strict=True):
        change = _projected_back(old, wanted, limit)
        for here in strips(box.side, box.side):
            was = unit(old[:, here])
            moved = was + rows[:, None] * columns[None, here] * change[:, here]
            new[:, here] = like(to_8bit(moved) if limit is None else round_toward(moved, was), image)
        del change  # before the next colour's is made
    return done


def _pasted_tilted(image: Tensor, box: Box, face: Tensor) -> Tensor:
    done = image.clone()
    for rows, columns, at, weight in pixels_of(image, box, SOFT):
        was = unit(image[:, rows, columns])
        moved = was + weight * (sampled(face.to(was), at).clamp(0, 1) - was)
        done[:, rows, columns] = like(to_8bit(moved), image)
    return done


def _changed_tilted(image: Tensor, box: Box, wanted: Tensor, limit: float | None) -> Tensor:
    done = image.clone()
    channels = zip(patch_of(image, box), wanted, strict=True)
    change = torch.stack([_projected_back(old, colour, limit) for old, colour in channels])
    for rows, columns, at, weight in pixels_of(image, box, SOFT):
        was = unit(image[:, rows, columns])
        moved = was + weight * sampled(change, at)
        levels = to_8bit(moved) if limit is None else round_toward(moved, was)
        done[:, rows, columns] = like(levels, image)
    return done


def _inside(image: Tensor, box: Box) -> Tensor:
    return image[:, box.top : box.top + box.side, box.left : box.left + box.side]


def _projected_back(old: Tensor, wanted: Tensor, limit: float | None) -> Tensor:
    """The change of one channel of a cut that is `wanted` when it is made small: `[side,side]`, `[s,s]` ->
    `[side,side]` signed."""
    side, size = len(old), len(wanted)
    change = torch.zeros(old.shape, dtype=wanted.dtype, device=old.device)
    for _ in range(4):
        got = change if side == size else interpolated(change[None], (size, size), "bicubic")[0]
        for here, more in enlarged(wanted - got, side):
            was = unit(old[:, here])
            step = (was + (change[:, here] + more)).clamp_(0, 1).sub_(was)
            change[:, here] = step if limit is None else step.clamp_(-limit, limit)
    return change


def soft_edge(box: Box, image: Tensor, size: int) -> Tensor:
    """How much of a change is put into the picture at each pixel of the cut, `[size,size]` in [0,1].

    Args:
        image: `[3,H,W]`.
    """
    if box.angle:
        steps = (torch.arange(size) + 0.5) * (box.side / size)
        near = torch.minimum(steps, box.side - steps)
        near = torch.minimum(near[:, None], near)
        return 0.5 - 0.5 * torch.cos(torch.pi * (near / max(1.0, SOFT * box.side)).clamp(0, 1))
    rows, columns = (
        interpolated(edge[None, None].cpu(), (1, size), "bilinear")[0, 0] for edge in _edge(box, image)
    )
    return rows[:, None] * columns


def _edge(box: Box, image: Tensor) -> tuple[Tensor, Tensor]:
    """Of rows and of columns, `[side]` each: 1 inside, falling smoothly to 0 at those borders that lie inside
    the picture."""
    height, width = image.shape[1:]
    steps = torch.arange(box.side, dtype=torch.float32, device=image.device) + 0.5

    def ramp(first: bool, last: bool) -> Tensor:
        distance = torch.full_like(steps, torch.inf)
        if first:
            distance = torch.minimum(distance, steps)
        if last:
            distance = torch.minimum(distance, box.side - steps)
        return 0.5 - 0.5 * torch.cos(torch.pi * (distance / max(1.0, SOFT * box.side)).clamp(0, 1))

    rows = ramp(box.top > 0, box.top + box.side < height)
    columns = ramp(box.left > 0, box.left + box.side < width)
    return rows, columns

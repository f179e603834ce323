"""Where the face is: find it, cut it out at the generator's size, and put a changed face back.

The finder is the cascade that comes with scikit-image (local binary patterns, frontal faces; Viola and Jones,
CVPR 2001; Liao et al., ICB 2007). It needs no download and finds upright faces that look at the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.functional import luma, round_toward, to_8bit
from magdr_core.media.tiles import enlarged, interpolated, like, strips, unit

MARGIN = 1.6
"""Side of the cut per side of the cascade's box. Measured: on aligned CelebA-HQ pictures the box is .62 of
the side, on drawn faces .61, so this cut frames a face as the data that face generators are trained on."""

LIFT = 0.05
"""How far the cut's centre lies above the box's, per side of the box; measured likewise (hair needs room)."""

SMALLEST = 24
"""The cascade's own window, in pixels."""

LOOKS = ((160, 4), (400, 8))
"""(long side, neighbouring answers that make a face): the finder looks at a copy of the first size, and if it
finds nothing at one of the second. Large faces are found fast, and those of a sixteenth of the picture still
are; small windows see faces in gravel and in cats, so more of them must agree. With these, nothing but a
clock face is found in the 15 of scikit-image's pictures that show no person."""

SOFT = 0.08
"""Width of the soft edge of what is put back, per side of the cut."""


@dataclass(frozen=True)
class Box:
    """A square, in pixels: rows `top` to `top + side`, columns `left` to `left + side`."""

    top: int
    left: int
    side: int

    def overlap(self, other: Box) -> float:
        """The common area over the area of the smaller square."""
        height = min(self.top + self.side, other.top + other.side) - max(self.top, other.top)
        width = min(self.left + self.side, other.left + other.side) - max(self.left, other.left)
        return max(height, 0) * max(width, 0) / min(self.side, other.side) ** 2


@cache
def _cascade() -> Any:
    import skimage.data
    from skimage.feature import Cascade

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


def find_faces(image: Tensor) -> list[Box]:
    """The faces of a picture, largest first: the cascade's boxes, from the brows to the chin.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
    """
    long_side = max(image.shape[1:])
    for wanted, neighbours in LOOKS:
        scale = min(1.0, wanted / long_side)
        boxes = _detect(image, scale, neighbours)
        if boxes or scale == 1.0:
            return boxes
    return []


def _detect(image: Tensor, scale: float, neighbours: int) -> list[Box]:
    if scale == 1.0:
        small = unit(image)
    else:
        height, width = (max(1, round(side * scale)) for side in image.shape[1:])
        small = interpolated(image, (height, width), "bilinear").clamp(0, 1)
    grey = (luma(small[None])[0, 0] * 255).round().byte().cpu().numpy()
    if min(grey.shape) < SMALLEST:
        return []
    found = _cascade().detect_multi_scale(
        img=np.ascontiguousarray(grey),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(SMALLEST, SMALLEST),
        max_size=grey.shape,
        min_neighbor_number=neighbours,
        intersection_score_threshold=0.3,
    )
    boxes = [Box(round(f["r"] / scale), round(f["c"] / scale), round(f["width"] / scale)) for f in found]
    return merged(boxes)


def merged(boxes: Sequence[Box]) -> list[Box]:
    """One box for each group that overlaps by more than half: the cascade answers at several scales."""
    groups: list[list[Box]] = []
    for box in sorted(boxes, key=lambda b: (-b.side, b.top, b.left)):
        group = next((g for g in groups if g[0].overlap(box) > 0.5), None)
        if group is None:
            groups.append([box])
        else:
            group.append(box)
    means = [_mean(g) for g in groups]
    return sorted(means, key=lambda b: (-b.side, b.top, b.left))


def _mean(boxes: Sequence[Box]) -> Box:
    side = float(np.mean([b.side for b in boxes]))
    row = float(np.mean([b.top + b.side / 2 for b in boxes]))
    column = float(np.mean([b.left + b.side / 2 for b in boxes]))
    return Box(round(row - side / 2), round(column - side / 2), round(side))


def face_cut(face: Box, height: int, width: int) -> Box:
    """What is cut out around a face: `MARGIN` times its box, moved or shrunk to lie inside the picture."""
    return placed(
        face.top + face.side * (0.5 - LIFT), face.left + face.side / 2, face.side * MARGIN, height, width
    )


def placed(row: float, column: float, side: float, height: int, width: int) -> Box:
    """The square with this centre and side, in whole pixels, moved or shrunk to lie inside the picture."""
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
    piece = _inside(image, box)
    return to_8bit(unit(piece) if box.side == size else interpolated(piece, (size, size), "bicubic"))


def paste(image: Tensor, box: Box, face: Tensor) -> Tensor:
    """Put a face in the place of the cut, with a soft edge; outside the cut nothing changes.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
        face: `[3,size,size]` in [0,1], what takes the place.

    Returns:
        a picture like `image`, of 8-bit levels.
    """
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

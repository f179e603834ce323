"""Finding faces without anything to install or to download.

This finder is the cascade that comes with scikit-image (local binary patterns, frontal faces; Viola and
Jones, CVPR 2001; Liao et al., ICB 2007). It needs no download and sees faces that look at the camera; tilted
ones and ones that fill the picture are seen in turned and in widened copies of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional import luma
from magdr_core.media.faces import Box
from magdr_core.media.found import FoundFace
from magdr_core.media.tiles import interpolated, unit
from magdr_core.media.tilted import turned

SMALLEST = 24
"""The cascade's own window, in pixels."""


class FinderLook(NamedTuple):
    """A look at a copy of the picture.

    Attributes:
        side: the copy's longer side.
        neighbours: answers that make a face where nothing is turned or widened, and where something is.
    """

    side: int
    neighbours: tuple[int, int]


LOOKS = (FinderLook(160, (4, 8)), FinderLook(400, (8, 16)))
"""The second one is for pictures of which the first finds nothing. Large faces are found fast, and those of
a sixteenth of the picture still are; small windows see faces in gravel and in cats, so more of them must
agree. With these, nothing but a clock face is found in scikit-image's pictures without a person."""

TILTS = (25.0, -25.0)
"""Degrees by which faces are turned that are looked for where no upright one is found."""

CONFIRMED = 10.0
"""Degrees further to one side or the other at which such a face has to be seen, too: the cascade sees faces
that are up to some 20 degrees off, and other things in one place only."""

ONE_SIDED = {30.0: 15.0, 42.0: 25.0}
"""By how far a picture is turned in which an upright face is seen still, but not when it is turned as far the
other way: how far the face itself is turned, in degrees."""

WIDENED = 0.25
"""Of the longer side is added on every side, mirrored, for faces that fill the picture."""

FILLING = 0.5
"""Of the longer side is what such a face has at least: mirrored gravel has faces, too."""

CLOSE = 40
"""Pixels a side of a face in the piece in which its turn is looked for."""

CLOSE_ROOM = 1.7
"""Side of that piece per side of the face."""

MOST_TURNED, TURNED_STEP = 50, 10
"""Degrees to either side at which it is looked at there, and from one look to the next. Measured on
scikit-image's astronaut, turned by up to 30 degrees, but for how she holds her head: off by 4 at most."""


@cache
def _cascade() -> Any:
    import skimage.data
    from skimage.feature import Cascade

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


def find_faces(image: Tensor, *, aligned: bool = True) -> list[Box]:
    """The faces of a picture, largest first: the cascade's squares, from the brows to the chin.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
        aligned: turn the square of a single face as the face is, where that is by more than some 10 degrees.
    """
    long_side = max(image.shape[1:])
    for look in LOOKS:
        scale = min(1.0, look.side / long_side)
        grey = _grey(image, scale)
        if faces := _seen(grey, look.neighbours):
            if aligned and len(faces) == 1 and not faces[0].angle:
                faces = _aligned(grey, look.neighbours[1]) or faces
            return [_scaled(face, scale) for face in faces]
        if scale == 1.0:
            return []
    return []


class Cascade:
    """scikit-image's cascade, for faces that look at the camera, tilted or not."""

    def __call__(self, picture: Tensor) -> list[FoundFace]:
        """The faces of a picture `[3,H,W]` in [0,1] or uint8, the largest first: it cannot tell how sure it
        is."""
        return [FoundFace(box) for box in find_faces(picture)]

    def places(self, picture: Tensor) -> list[FoundFace]:
        """The same of `[3,H,W]` without a closer look at how the face is turned."""
        return [FoundFace(box) for box in find_faces(picture, aligned=False)]


def _seen(grey: Tensor, neighbours: tuple[int, int]) -> list[Box]:
    """Faces of a copy `[H,W]` in [0,1]: upright ones, tilted ones, then those that fill it."""
    few, many = neighbours
    if faces := _upright(grey, 0, few, SMALLEST):
        return faces
    for angle in TILTS:
        if (faces := _tilted(grey, angle, many, SMALLEST)) and any(
            _tilted(grey, angle + off, many, SMALLEST) for off in (CONFIRMED, -CONFIRMED)
        ):
            return faces
    least = max(SMALLEST, round(FILLING * max(grey.shape)))
    by = round(WIDENED * max(grey.shape))
    if by >= min(grey.shape):  # too little to mirror
        return []
    wide = F.pad(grey[None, None], (by, by, by, by), mode="reflect")[0, 0]
    for angle in (0.0, *TILTS):
        faces = _tilted(wide, angle, many, least) if angle else _upright(wide, 0, many, least)
        if faces:
            return [face.shifted(-by, -by) for face in faces]
    return []


def _aligned(grey: Tensor, neighbours: int) -> list[Box]:
    """The face, turned as it is; none if it is upright, or nobody can tell."""
    for side in (1, -1):
        found = [mine for far, mine in ONE_SIDED.items() if _tilted(grey, side * far, neighbours, SMALLEST)]
        if found and not _tilted(grey, -side * min(ONE_SIDED), neighbours, SMALLEST):
            return _tilted(grey, side * max(found), neighbours, SMALLEST)
    return []


def _tilted(grey: Tensor, angle: float, neighbours: int, least: int) -> list[Box]:
    """Faces that are turned by so many degrees."""
    height, width = grey.shape
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    wide = math.ceil(width * abs(cos) + height * abs(sin)), math.ceil(height * abs(cos) + width * abs(sin))
    # Grey corners: a border that goes on draws stripes, which look like anything.
    canvas = turned(grey[None] - 0.5, (height / 2, width / 2), (wide[1], wide[0]), angle, "zeros")[0] + 0.5
    found = []
    for face in _upright(canvas, angle, neighbours, least):
        row, column = face.centre
        down, right = row - wide[1] / 2, column - wide[0] / 2
        found.append(
            Box.around(
                height / 2 + down * cos - right * sin, width / 2 + down * sin + right * cos, face.side, angle
            )
        )
    return found


def turn_of(image: Tensor, face: Box) -> float:
    """By how many degrees a face that was found is turned, counter-clockwise; `face.angle` where nobody can
    tell.

    The cascade answers in more windows the more upright a face is, so it looks at turned copies of a small
    piece of the picture. The angle is the mean of those around the best one, weighed by the squared number of
    answers. That takes less time than a search of the whole picture.

    Args:
        image: `[3,H,W]` in [0,1] or uint8.
    """
    scale = min(1.0, CLOSE / face.side)
    grey, side = _grey(image, scale), face.side * scale
    row, column = (place * scale for place in face.centre)
    around = max(SMALLEST, math.ceil(CLOSE_ROOM * side))
    answers = {}
    for angle in range(-MOST_TURNED, MOST_TURNED + 1, TURNED_STEP):
        piece = turned(grey[None] - 0.5, (row, column), (around, around), angle, "zeros")[0] + 0.5
        answers[angle] = _windows(piece, side)
    best = max(answers, key=lambda angle: (answers[angle], -abs(angle)))
    if not answers[best]:
        return face.angle
    near = {angle: n**2 for angle, n in answers.items() if abs(angle - best) <= TURNED_STEP}
    return sum(angle * weight for angle, weight in near.items()) / sum(near.values())


def _windows(grey: Tensor, side: float) -> int:
    """How many windows of about this side the cascade takes for a face, none joined with others."""
    found = _cascade().detect_multi_scale(
        img=np.ascontiguousarray((grey * 255).round().byte().cpu().numpy()),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(round(0.7 * side),) * 2,
        max_size=(round(1.4 * side),) * 2,
        min_neighbor_number=1,
        intersection_score_threshold=1.0,
    )
    return len(found)


def _upright(grey: Tensor, angle: float, neighbours: int, least: int) -> list[Box]:
    levels = (grey * 255).round().byte().cpu().numpy()
    if min(levels.shape) < SMALLEST:
        return []
    found = _cascade().detect_multi_scale(
        img=np.ascontiguousarray(levels),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(least, least),
        max_size=levels.shape,
        min_neighbor_number=neighbours,
        intersection_score_threshold=0.3,
    )
    return merged([Box(int(f["r"]), int(f["c"]), int(f["width"]), angle) for f in found])


def _grey(image: Tensor, scale: float) -> Tensor:
    """The brightness of a copy, `[h,w]` in [0,1]."""
    if scale == 1.0:
        small = unit(image)
    else:
        height, width = (max(1, round(side * scale)) for side in image.shape[1:])
        small = interpolated(image, (height, width), "bilinear").clamp(0, 1)
    return luma(small[None])[0, 0]


def _scaled(face: Box, scale: float) -> Box:
    if not face.angle:
        return Box(round(face.top / scale), round(face.left / scale), round(face.side / scale))
    row, column = face.centre
    return Box.around(row / scale, column / scale, face.side / scale, face.angle)


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
    row = float(np.mean([b.centre[0] for b in boxes]))
    column = float(np.mean([b.centre[1] for b in boxes]))
    return Box.around(row, column, side, boxes[0].angle)

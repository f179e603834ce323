"""Which square of a frame is kept: one for a real video, and the same for every fake of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from magdr_core.api import DataError, face_cut, find_faces

from ._clips import Clip, PictureClip
from ._faceforensics import ENLARGE
from ._pictures import Box, centre_square, squared

Crop = Literal["face", "landmarks", "centre", "whole"]

MARKED = 1 / 255
"""What of a mask's grey is above this is forged: masks are compressed videos."""

GREY = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as OpenCV and PIL make a picture grey."""


class Kept(NamedTuple):
    """A square, and the height and width of the frames that it is cut of."""

    box: Box
    height: int
    width: int


def prepared(frame: Tensor, size: int, box: Box | None, crop: str) -> Tensor:
    """A frame `[3,H,W]` as a picture `[3,size,size]`, 8-bit levels.

    Args:
        box: what is kept; None: everything, stretched, or the middle square, as `crop` says.
    """
    if box is None and crop != "whole":
        return centre_square(frame, size)
    return squared(frame, size, box)


def marked(mask: Tensor) -> Tensor:
    """The forged pixels of a mask's frame: `[3,H,W]` in [0,1] -> bool `[H,W]`, grey above one level."""
    red, green, blue = (mask * 255).round()
    grey = (GREY[0] * red + GREY[1] * green + GREY[2] * blue).round()
    return grey > MARKED * 255


def square_around(points: Tensor, height: int, width: int) -> Box:
    """A square around points `[n,2]`, x before y, enlarged, inside a frame of this size."""
    (left, top), (right, bottom) = points.amin(0).tolist(), points.amax(0).tolist()
    side = max(1, min(round(ENLARGE * max(right - left, bottom - top)), height, width))
    x = min(max(round((left + right - side) / 2), 0), width - side)
    y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return x, y, x + side, y + side


def face_box(frames: Iterable[Tensor]) -> Kept | None:
    """The square around the largest face of a video's frames `[3,H,W]`: the median of what is found in each;
    None if no face is found in any."""
    found, height, width = [], 0, 0
    for frame in frames:
        height, width = frame.shape[1:]
        faces = find_faces(frame)
        if faces:
            cut = face_cut(faces[0], height, width)
            found.append((cut.left, cut.top, cut.side))
    if not found:
        return None
    left, top, side = torch.tensor(found, dtype=torch.float64).median(0).values.round().long().tolist()
    x, y = min(max(left, 0), width - side), min(max(top, 0), height - side)
    return Kept((x, y, x + side, y + side), height, width)


def mask_box(masks: Clip, positions: Iterable[int]) -> Kept | None:
    """The square around everything that masks mark in some frames; None if they mark nothing there.

    Raises:
        DataError: a frame is damaged.
    """
    there = masks.positions()
    frames = [marked(frame) for _, frame in masks.frames(sorted(p for p in positions if p in there))]
    points = torch.cat([frame.nonzero() for frame in frames]) if frames else torch.empty(0, 2)
    if not len(points):
        return None
    height, width = frames[0].shape
    corners = torch.stack([points.amin(0), points.amax(0) + 1]).flip(1).double()
    return Kept(square_around(corners, height, width), height, width)


def landmark_box(clip: Clip, positions: Sequence[int]) -> Kept:
    """The square around a clip's landmarks.

    They lie beside its frames as DeepfakeBench leaves them, `landmarks/NAME/000.npy` of
    `frames/NAME/000.png`: `[points, 2]`, x before y. A frame without a file says nothing.

    Raises:
        DataError: no frame has any, or a file is something else.
    """
    wanted = [] if not isinstance(clip, PictureClip) else [clip.file(position) for position in positions]
    files = [landmarks_of(file) for file in wanted if file is not None]
    points = [_points(file) for file in files if file.is_file()]
    if not points:
        where = files[0] if files else clip.path.parent.parent / "landmarks" / clip.path.stem
        raise DataError(f"{where}: does not exist, so there are no landmarks to crop by (crop)")
    ((_, frame),) = clip.frames(positions[:1])
    height, width = frame.shape[1:]
    return Kept(square_around(torch.cat(points), height, width), height, width)


def landmarks_of(frame: Path) -> Path:
    """Where the landmarks of an extracted frame are."""
    return frame.parents[2] / "landmarks" / frame.parent.name / f"{frame.stem}.npy"


def _points(path: Path) -> Tensor:
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as e:
        raise DataError(f"{path}: is no file of landmarks ({e})") from None
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise DataError(f"{path}: holds {list(points.shape)} numbers, expected finite landmarks [points, 2]")
    return torch.from_numpy(points.astype(np.float64))

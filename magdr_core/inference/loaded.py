"""Pictures that were read, with their faces cut out at a generator's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import torch
from torch import Tensor

from magdr_core.errors import DataError, MagdrError, one_line
from magdr_core.inference.sources import PictureSource
from magdr_core.media import (
    Box,
    FaceFinder,
    Picture,
    cut,
    face_cut,
    faces_in,
    paste_change,
    whole_cut,
    without_colours,
)

ALL: Final = "all"
LARGEST: Final = "largest"

Wanted = Literal["all", "largest"] | int
"""Which faces of a picture are looked at; a number is that of one, by size, from 1."""

S = TypeVar("S", bound=PictureSource)


class NoFaceError(DataError):
    """A picture that shows no face, as far as the finder sees."""


@dataclass(frozen=True, eq=False)
class Loaded(Generic[S]):
    """A picture with its face cut out.

    Attributes:
        given: where it came from.
        levels: `[3,H,W]` uint8, all of it.
        box: the cut's place.
        face: `[3,S,S]`, the cut at the generator's size.
        facts: what reading and cutting did, JSON-able.
        grey: the file has no colours.
    """

    given: S
    levels: Tensor
    box: Box
    face: Tensor
    facts: dict[str, Any]
    grey: bool = False

    def put_into(self, picture: Tensor, face: Tensor, *, limit: float | None = None) -> Tensor:
        """A picture `[3,H,W]` uint8 with another face in this one's place, as `paste_change` puts it; grey if
        it was. It is the picture itself where the face is as it was.

        Args:
            picture: `levels`, or what became of them with other faces; where cuts overlap, this one has its
                own way.
            face: `[3,S,S]`.
        """
        if torch.equal(self.face, face):
            return picture
        whole = picture is self.levels
        before = self.face if whole else cut(picture, self.box, self.face.shape[-1])
        done = paste_change(picture, self.box, before, face, limit=limit)
        return without_colours(done) if self.grey and done is not picture else done


@dataclass(frozen=True, eq=False)
class Skipped(Generic[S]):
    """A picture that cannot be used, and why."""

    given: S
    error: MagdrError


def because(given: PictureSource, error: Exception) -> MagdrError:
    """Why an input was skipped, in a line that names it, whatever went wrong with it."""
    if isinstance(error, MagdrError) and str(given.path) in str(error):
        return error
    reason = "there is not enough memory" if _is_out_of_memory(error) else one_line(error)
    return DataError(f"{given.path}: {reason}")


def _is_out_of_memory(error: Exception) -> bool:
    # torch's allocator on a CPU has no exception of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def load(given: S, size: int, finder: FaceFinder | None) -> Loaded[S]:
    """Read a picture and cut its largest face out, at the generator's size.

    Args:
        finder: of faces; None for no search, the largest square in the middle.

    Raises:
        DataError: the file cannot be used, or shows no face.
        ComponentError: the finder fails.
    """
    return load_all(given, size, finder, LARGEST)[0]


def load_all(given: S, size: int, finder: FaceFinder | None, wanted: Wanted = ALL) -> list[Loaded[S]]:
    """The same with every face that is wanted, the largest first; what reading did is told of the first.

    Args:
        wanted: all of them, the largest, or the one with this number; they are numbered by size, from 1.

    Raises:
        NoFaceError: it shows no face.
        DataError: the file cannot be used, or shows fewer faces than are asked for.
        ComponentError: the finder fails.
    """
    picture, boxes = _found(given, finder)
    found = len(boxes)
    if wanted != ALL:
        number = 1 if wanted == LARGEST else wanted
        if number > found:
            shows = "1 face" if found == 1 else f"{found} faces"
            raise DataError(f"{given.path}: it shows {shows}, there is no face {number}")
        boxes = boxes[number - 1 : number]
    faces = [_cut_out(given, picture, box, size) for box in boxes]
    if len(boxes) < found:
        which = "the largest" if wanted == LARGEST else f"number {wanted}"
        faces[0].facts["notes"].insert(len(picture.notes), f"{found} faces were found, {which} is used")
    for face in faces[1:]:
        del face.facts["notes"][: len(picture.notes)]
    return faces


def _found(given: PictureSource, finder: FaceFinder | None) -> tuple[Picture, list[Box]]:
    """A picture and the places of its faces, the largest first.

    Raises:
        DataError: the file cannot be used, or shows no face.
    """
    picture = given.read()
    height, width = picture.levels.shape[1:]
    if finder is None:
        return picture, [whole_cut(height, width)]
    faces = faces_in(picture.levels, finder)
    if not faces:
        raise NoFaceError(
            f"{given.path}: no face was found; with --whole (whole=True) its middle square is used"
        )
    return picture, [face_cut(face, height, width) for face in faces]


def _cut_out(given: S, picture: Picture, box: Box, size: int) -> Loaded[S]:
    height, width = picture.levels.shape[1:]
    facts: dict[str, Any] = {"width": width, "height": height, "notes": list(picture.notes)}
    if box.side < size:
        facts["notes"].append(f"the cut has {box.side} pixels a side and is enlarged to {size}")
    facts["cut"] = place_of(box)
    return Loaded(given, picture.levels, box, cut(picture.levels, box, size), facts, picture.grey)


def place_of(box: Box) -> dict[str, float]:
    """Where a cut is, JSON-able; with its angle where it is turned."""
    place: dict[str, float] = {"top": box.top, "left": box.left, "side": box.side}
    return {**place, "angle": box.angle} if box.angle else place

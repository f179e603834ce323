"""What a finder of faces tells: squares of one meaning, whichever finder they are from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from torch import Tensor

from magdr_core.media.faces import LIFT, MARGIN, Box

Point = tuple[float, float]
"""(x, y) in pixels, from the picture's upper left corner."""


@dataclass(frozen=True)
class FoundFace:
    """A face of a picture.

    Attributes:
        box: the square from the brows to the chin, turned as the face is. What is cut out around it is
            `MARGIN` times as wide, so that the face has the place and size that it has in CelebA-HQ, the data
            that face generators are trained on: two squares that differ are two different cuts.
        score: how sure the finder is, in [0,1]; 1 of a finder that cannot tell.
    """

    box: Box
    score: float = 1.0

    @classmethod
    def from_landmarks(
        cls, eye: Point, other_eye: Point, mouth: Point, *, score: float = 1.0, upright: float = 0.0
    ) -> FoundFace:
        """The face with these eyes and this mouth, (x, y) each in pixels, as CelebA-HQ's alignment cuts it
        out (Karras et al., ICLR 2018, appendix C).

        Args:
            eye, other_eye: their centres, in any order.
            mouth: the middle of it.
            upright: a face that is turned by fewer degrees counts as upright.
        """
        across = other_eye[0] - eye[0], other_eye[1] - eye[1]
        middle = (eye[0] + other_eye[0]) / 2, (eye[1] + other_eye[1]) / 2
        down = mouth[0] - middle[0], mouth[1] - middle[1]
        if across[0] * down[1] < across[1] * down[0]:  # the other one is the left one
            across = -across[0], -across[1]
        right = across[0] + down[1], across[1] - down[0]
        angle = math.degrees(math.atan2(-right[1], right[0]))
        if abs(angle) < upright:
            angle = 0.0
        cut = max(4.0 * math.hypot(*across), 3.6 * math.hypot(*down))
        side = cut / MARGIN
        lift, turn = LIFT * side, math.radians(angle)
        row = middle[1] + 0.1 * down[1] + lift * math.cos(turn)
        column = middle[0] + 0.1 * down[0] + lift * math.sin(turn)
        return cls(Box.around(row, column, side, angle), score)


class FaceFinder(Protocol):
    """One way of finding faces. A finder that takes longer to tell how faces are turned may also have
    `places(picture)`: the same faces for those who do not ask for their angles, as of the frames of a
    clip."""

    def __call__(self, picture: Tensor) -> Sequence[FoundFace]:
        """The faces of a picture, the surest one first: `[3,H,W]` uint8 RGB of any size, on the CPU."""


class FinderOnDemand:
    """A finder that is made when a picture first needs it: faces that are cut out already need none.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], FaceFinder]) -> None:
        self._make = make

    @cached_property
    def _finder(self) -> FaceFinder:
        return self._make()

    def __call__(self, picture: Tensor) -> Sequence[FoundFace]:
        """What it finds in a picture `[3,H,W]` uint8."""
        return self._finder(picture)

    def places(self, picture: Tensor) -> Sequence[FoundFace]:
        """Its places in a picture `[3,H,W]` uint8."""
        return _places(self._finder, picture)


def faces_in(picture: Tensor, finder: FaceFinder) -> list[Box]:
    """The faces of a picture `[3,H,W]` uint8, the largest first."""
    return _largest_first(finder(picture))


def places_in(picture: Tensor, finder: FaceFinder) -> list[Box]:
    """The same of `[3,H,W]` where nobody asks how they are turned."""
    return _largest_first(_places(finder, picture))


def _places(finder: FaceFinder, picture: Tensor) -> Sequence[FoundFace]:
    found: Sequence[FoundFace] = getattr(finder, "places", finder)(picture)
    return found


def _largest_first(found: Sequence[FoundFace]) -> list[Box]:
    return sorted((face.box for face in found), key=lambda box: -box.side)

"""Core's wrapper around a finder of faces: squares that are some, and in the picture."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.errors import MagdrError, one_line
from magdr_core.guards.base import Guard, version_of
from magdr_core.media import Box, FoundFace


class GuardedFinder(Guard):
    """A finder whose faces are checked.

    Before a GPU, pictures are read ahead by another thread. There the process is not the finder's alone, so
    that only what it gives is looked at, and not what it does to the process.
    """

    def __call__(self, picture: Tensor) -> list[FoundFace]:
        """The faces of a picture `[3,H,W]` uint8, the surest one first.

        Raises:
            ComponentError: it fails, or gives something else: squares beside the picture, scores outside
                [0,1] or in another order.
        """
        return self._found(self.component, picture)

    def places(self, picture: Tensor) -> list[FoundFace]:
        """The same of `[3,H,W]` where nobody asks how faces are turned; quicker with some finders.

        Raises:
            ComponentError: as of a call.
        """
        return self._found(getattr(self.component, "places", self.component), picture)

    @torch.no_grad()
    def _found(self, function: Callable[[Tensor], Any], picture: Tensor) -> list[FoundFace]:
        own = picture.clone()
        before, failed = version_of(own), f"failed on {'x'.join(map(str, picture.shape))}"
        if threading.current_thread() is threading.main_thread():
            found = self.call(lambda: function(own), failed=failed)
        else:
            found = self._elsewhere(lambda: function(own), failed)
        # The copy is not compared: a look at all pixels of a large picture takes as long as the copy did.
        if version_of(own) != before:
            raise self.fail("edits its input in place")
        return self.checked(found, *picture.shape[1:])

    def checked(self, found: Any, height: int, width: int) -> list[FoundFace]:
        """What was found in a picture of this size, if it is faces.

        Raises:
            ComponentError: it is something else; see a call.
        """
        if not isinstance(found, list | tuple):
            raise self.fail(f"returned a {type(found).__name__}, expected a list of FoundFace")
        faces = [self._face(face, height, width) for face in found]
        for one, after in itertools.pairwise(faces):
            if after.score > one.score:
                told = f"{after.score:g} after {one.score:g}"
                raise self.fail(f"returned a score of {told}, expected the surest face first")
        return faces

    def _elsewhere(self, action: Callable[[], Any], failed: str) -> Any:
        try:
            return action()
        except (MagdrError, torch.OutOfMemoryError, MemoryError):
            raise
        except BaseException as e:
            raise self.fail(f"{failed}: {one_line(e)}") from e

    def _face(self, face: Any, height: int, width: int) -> FoundFace:
        box, score = getattr(face, "box", None), getattr(face, "score", math.nan)
        if not isinstance(box, Box):
            raise self.fail(f"returned a {type(face).__name__} in its list, expected a FoundFace")
        if not _is_number(score) or not 0 <= score <= 1:
            raise self.fail(f"returned a face with score = {score!r}, expected a number in [0,1]")
        if not all(isinstance(n, Integral) for n in (box.top, box.left, box.side)) or box.side < 1:
            raise self.fail(f"returned {box}, expected whole pixels and a side of at least 1")
        if not _is_number(box.angle) or not abs(box.angle) <= 180:
            raise self.fail(f"returned {box}, expected an angle from -180 to 180 degrees")
        if not box.reaches(height, width):
            raise self.fail(f"returned {box}, which lies beside the picture of {height} x {width}")
        return FoundFace(Box(int(box.top), int(box.left), int(box.side), float(box.angle)), float(score))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)

"""Frames of a clip, as a video or as a folder of extracted pictures, and which of them are looked at."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from torch import Tensor

from magdr_core.api import DataError, read_picture, read_video

_FRAME = re.compile(r"(\d+)\.(png|jpe?g)", re.IGNORECASE)

CACHE_BYTES = 2**28
"""Prepared frames that are remembered."""


class Clip(Protocol):
    """Frames by position, from 0 on."""

    path: Path

    def positions(self) -> Sequence[int]:
        """Those that are there."""

    def frames(self, wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """(position, `[3,H,W]`) for ascending positions.

        Raises:
            DataError: a frame is missing or damaged; the line names the file.
        """


class PictureClip:
    """Extracted frames `0000.png, 0001.png, ...`; OpenCV counts from 0, FFmpeg from 1.

    A folder with a frame 1 and no frame 0 counts from 1.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _files(self) -> dict[int, Path]:
        files: dict[int, Path] = {}
        for file in sorted(self.path.iterdir()):
            match = _FRAME.fullmatch(file.name)
            if match and files.setdefault(int(match[1]), file) != file:
                raise DataError(f"{file}: is frame {int(match[1])} for the second time")
        if not files:
            raise DataError(f"{self.path}: holds no frames such as 0000.png")
        first = 1 if 1 in files and 0 not in files else 0
        return {number - first: files[number] for number in sorted(files)}

    def positions(self) -> Sequence[int]:
        return list(self._files)

    def frames(self, wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        for position in wanted:
            if position not in self._files:
                raise DataError(f"{self.path}: has no frame {position} (from 0 on)")
            yield position, read_picture(self._files[position]).image


class VideoClip:
    """A video file. Asking for later and later frames decodes it once; going back starts again.

    Args:
        exact: count the frames by decoding all of them, rather than trust what the file declares.
    """

    def __init__(self, path: Path, *, exact: bool) -> None:
        self.path = path
        self._exact = exact
        self._decoding: Iterator[Tensor] | None = None
        self._next = 0

    @cached_property
    def _count(self) -> int:
        video = read_video(self.path)
        if self._exact or not video.declared:
            return sum(1 for _ in video)
        # A whole file may lack a frame or two of what it declares (edit lists): the very end is left out.
        return max(1, video.declared - max(2, video.declared // 100))

    def positions(self) -> Sequence[int]:
        return range(self._count)

    def frames(self, wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        for position in wanted:
            if self._decoding is None or position < self._next:
                self._decoding, self._next = iter(read_video(self.path)), 0
            frame: Tensor | None = None
            try:
                while self._next <= position:
                    frame = next(self._decoding, None)
                    self._next += 1
                    if frame is None:
                        raise DataError(f"{self.path}: ends before frame {position} (from 0 on)")
            except DataError:
                self.close()  # asking again gives the same error
                raise
            assert frame is not None
            yield position, frame

    def close(self) -> None:
        """Let go of the file."""
        self._decoding, self._next = None, 0


def sampled(positions: Sequence[int], stride: int, limit: int = 0) -> list[int]:
    """Every `stride`-th position, at most `limit` of them (0: all).

    Where frames were extracted with gaps, the next one of the same `stride` takes a missing one's place; a
    whole stretch that is missing gives none.

    Args:
        positions: those that are there, ascending.

    >>> sampled(range(9), 3), sampled([0, 4, 5, 9], 3)
    ([0, 3, 6], [0, 4, 9])
    """
    chosen = list({p // stride: p for p in reversed(positions)}.values())[::-1]
    return chosen[:limit] if limit else chosen


class FrameMemory:
    """Prepared frames `[3,size,size]`, the most recently used ones within `CACHE_BYTES`."""

    def __init__(self, size: int) -> None:
        self._kept: OrderedDict[tuple[str, Path, int], Tensor] = OrderedDict()
        self._limit = max(1, CACHE_BYTES // (3 * size * size))

    def get(
        self,
        clip: Clip,
        position: int,
        load: Callable[[], Iterator[tuple[int, Tensor]]],
        owner: str = "",
    ) -> Tensor:
        """The frame, from memory or from `load()`, which gives it and perhaps others of the clip.

        Args:
            owner: tells apart what is prepared of one clip in several ways.

        Raises:
            DataError: `load` does not give it.
        """
        found = self._kept.get((owner, clip.path, position))
        if found is None:
            for at, image in load():
                levels = (image * 255).round().byte()
                self._kept[owner, clip.path, at] = levels
                if at == position:
                    found = levels
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end((owner, clip.path, position))
        if found is None:
            raise DataError(f"{clip.path}: has no frame {position} (from 0 on)")
        return found.float() / 255

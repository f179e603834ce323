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

from ._pictures import listing

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

    Args:
        path: the folder with the pictures.
        listed: those of its pictures that a list names; they count from 0.
    """

    def __init__(self, path: Path, listed: Sequence[Path] | None = None) -> None:
        self.path = path
        self._listed = listed

    @cached_property
    def _files(self) -> dict[int, Path]:
        files: dict[int, Path] = {}
        for file in sorted(self.path.iterdir() if self._listed is None else self._listed):
            match = _FRAME.fullmatch(file.name)
            if match and files.setdefault(int(match[1]), file) != file:
                raise DataError(f"{file}: is frame {int(match[1])} for the second time")
        if not files:
            raise DataError(f"{self.path}: holds no frames such as 0000.png")
        first = 1 if self._listed is None and 1 in files and 0 not in files else 0
        return {number - first: files[number] for number in sorted(files)}

    def file(self, position: int) -> Path | None:
        """The picture of a frame; None if there is none."""
        return self._files.get(position)

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


def find_clip(folders: Sequence[Path], name: str, source: str = "auto") -> Clip:
    """A clip of extracted frames (`frames/NAME/`, `images/NAME/` or `NAME/`) or a video (`NAME.mp4` or
    `videos/NAME.mp4`), the first that is there.

    Args:
        folders: that may hold it.
        source: "images", "videos", or "auto" for either, frames first.

    Raises:
        DataError: neither is there.
    """
    if source != "videos":
        for folder in folders:
            for place in (folder / "frames", folder / "images", folder):
                if (place / name).is_dir():
                    return PictureClip(place / name)
    if source != "images":
        for folder in folders:
            for place in (folder, folder / "videos"):
                if (place / f"{name}.mp4").is_file():
                    return VideoClip(place / f"{name}.mp4", exact=False)
    videos, images = (f"{name}.mp4", f"videos/{name}.mp4"), (f"frames/{name}", f"images/{name}", name)
    tried = {"images": images, "videos": videos}.get(source, (*videos, *images))
    raise DataError(f"{folders[0]}: has no clip {name}; looked for {', '.join(tried)}")


def clip_names(folder: Path, source: str = "auto") -> list[str]:
    """What :func:`find_clip` finds in a folder, by name.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: does not exist")
    names: set[str] = set()
    if source != "images":
        names |= {file.stem for place in (folder, folder / "videos") for file in place.glob("*.mp4")}
    if source != "videos":
        inside = [folder / name for name in ("frames", "images") if (folder / name).is_dir()] or [folder]
        names |= {one.name for place in inside for one in place.iterdir() if one.is_dir()} - _FOLDERS
    return sorted(names)


_FOLDERS = {"frames", "images", "videos", "landmarks", "masks"}
"""Folders that hold clips, and are none."""


def facts_of(clip: Clip) -> str:
    """Names and sizes of a clip's files, for a fingerprint; nothing of it is read."""
    return listing(clip.path) if clip.path.is_dir() else f"{clip.path.name} {clip.path.stat().st_size}"


def spaced(positions: Sequence[int], count: int) -> list[int]:
    """`count` positions from the first to the last, evenly spaced (0, or fewer are there: all), as
    DeepfakeBench takes frames.

    >>> spaced(range(10), 4), spaced([3, 8], 4)
    ([0, 3, 6, 9], [3, 8])
    """
    last = len(positions) - 1
    if not count or count > last:
        return list(positions)
    return [positions[last * i // (count - 1) if count > 1 else last // 2] for i in range(count)]


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

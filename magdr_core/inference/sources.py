"""Pictures from outside: files, folders, and pictures that are in memory already."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from magdr_core.errors import DataError
from magdr_core.files.disk import write_atomically
from magdr_core.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Picture, picture_of, read_picture
from magdr_core.media.formats import UNREADABLE, UNREADABLE_CLIPS

FOR_PEOPLE = (
    ".restored.png",
    ".output.png",
    ".compare.png",
    ".inspected.png",
    ".restored.mkv",
    ".output.mp4",
    ".compare.mp4",
)
"""What commands write and nobody wants to give them again; `.attacked.png` is no part of it."""

UNCHANGED = ".unchanged"
"""What is added to the name of a file that was handed back as it came, before its own ending."""

PictureLike = str | os.PathLike[str] | Image.Image | npt.NDArray[Any]
"""A picture of any size: a file, PIL, or an array `[H,W,3]` (uint8, or floating point in [0,1])."""

Pictures = PictureLike | Iterable[PictureLike]
"""One or several; a path may be a folder where many are gone through."""

_ONE = (str, bytes, np.ndarray, Image.Image)


class PictureSource(Protocol):
    """A picture that can be read; `path` is what messages call it."""

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    def read(self) -> Picture:
        """Raises DataError if it cannot be used."""


@dataclass(frozen=True)
class Input:
    """One file.

    Attributes:
        path: the file.
        name: results are called this and a suffix, below the output folder: the file's own name, with its
            place below the folder that was named.
    """

    path: Path
    name: str

    def read(self) -> Picture:
        return read_picture(self.path)

    @property
    def is_video(self) -> bool:
        suffix = self.path.suffix.lower()
        return suffix in VIDEO_SUFFIXES or suffix in UNREADABLE_CLIPS

    def results(self, out: Path, changed: str, picture: str = ".png") -> dict[str, Path]:
        """Where the changed picture, the generator's output and the comparison go.

        Args:
            changed: what the changed picture is called, `restored` or `attacked`.
            picture: what the name of a changed picture ends with.
        """
        kinds = (".mkv", ".mp4") if self.is_video else (picture, ".png")
        suffixes = {changed: kinds[0], "output": kinds[1], "compare": kinds[1]}
        return {name: out / f"{self.name}.{name}{suffix}" for name, suffix in suffixes.items()}

    def unchanged(self, out: Path) -> Path:
        """Where a copy of the file goes in which nothing was restored."""
        return unchanged_path(out, self.name)


@dataclass(frozen=True, eq=False)
class Held:
    """A picture in memory: PIL, or a numpy array `[H,W,3]` (uint8, or floats in [0,1])."""

    picture: Image.Image | npt.NDArray[Any]
    name: str

    @property
    def path(self) -> Path:
        return Path(self.name)

    def read(self) -> Picture:
        return picture_of(self.picture, self.name)


def sources_of(pictures: Pictures) -> Iterator[PictureSource]:
    """Paths, folders (all pictures below), PIL pictures and numpy arrays, one or any iterable of them.

    An iterable is read as it is asked for, so it may be endless.

    Raises:
        DataError: something else, a path that does not exist, a folder without a picture.
    """
    several = isinstance(pictures, Iterable) and not isinstance(pictures, _ONE)
    every: Iterable[object] = pictures if several else [pictures]  # type: ignore[assignment]
    for number, given in enumerate(every):
        if isinstance(given, str | os.PathLike):
            yield from below(Path(os.fsdecode(given)), videos=False)
        elif isinstance(given, Image.Image | np.ndarray):
            yield Held(given, f"picture {number}")
        else:
            raise DataError(
                f"picture {number} is a {type(given).__name__}; give a path, a folder, a PIL picture or a "
                "numpy array [H,W,3]"
            )


def below(path: Path, *, videos: bool) -> list[Input]:
    """A file as it is; of a folder all pictures (and clips) below it, sorted by path.

    Hidden files, other kinds of files and what magdr itself wrote for people to look at are passed over.
    Pictures in formats that cannot be read here, and folders that may not be looked into, are in the list:
    reading them says so.

    Raises:
        DataError: a path that does not exist, or a folder without any picture.
    """
    if not os.path.lexists(path):  # Path.exists raises where a name is too long
        raise DataError(f"{str(path)!r} does not exist")
    if not os.path.isdir(path):
        return [Input(path, path.name)]
    found = [Input(p, p.relative_to(path).as_posix()) for p in _files(path, videos)]
    if not found:
        raise DataError(f"folder {str(path)!r} holds no {'picture or clip' if videos else 'picture'}")
    return found


def unchanged_path(folder: Path, name: str) -> Path:
    """Where the file of this name goes in which nothing was restored."""
    return folder / f"{name}{UNCHANGED}{Path(name).suffix}"


def copied(given: Path, path: Path) -> Path:
    """Copy a file byte for byte, atomically; the path of the copy.

    Raises:
        WriteError: it cannot be read or written.
    """
    write_atomically(path, lambda p: shutil.copyfile(given, p))
    return path


def _for_people(name: str) -> bool:
    stem = name.removesuffix(Path(name).suffix)
    return name.endswith(FOR_PEOPLE) or stem.endswith(UNCHANGED) or name.endswith(UNCHANGED)


def _files(folder: Path, videos: bool) -> list[Path]:
    wanted = (*PICTURE_SUFFIXES, *UNREADABLE)
    if videos:
        wanted += (*VIDEO_SUFFIXES, *UNREADABLE_CLIPS)
    paths: list[Path] = []

    def closed(error: OSError) -> None:
        paths.append(Path(error.filename))

    for place, folders, files in os.walk(folder, onerror=closed):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for name in files:
            low = name.lower()
            if low.endswith(wanted) and not _for_people(low) and not name.startswith("."):
                paths.append(Path(place, name))
    return sorted(paths)

"""Which files a command works on, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from magdr_core.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES

FOR_PEOPLE = (".restored.png", ".output.png", ".compare.png", ".restored.mkv", ".output.mp4", ".compare.mp4")
"""What `defend` and `attack` write and nobody wants to defend again; `.attacked.png` is no part of it."""


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

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    def results(self, out: Path, changed: str) -> dict[str, Path]:
        """Where the changed picture, the generator's output and the comparison go.

        Args:
            changed: what the changed picture is called, `restored` or `attacked`.
        """
        kinds = (".mkv", ".mp4") if self.is_video else (".png", ".png")
        suffixes = {changed: kinds[0], "output": kinds[1], "compare": kinds[1]}
        return {name: out / f"{self.name}.{name}{suffix}" for name, suffix in suffixes.items()}


def collect(paths: Sequence[Path], *, videos: bool = True) -> list[Input]:
    """The files below these paths, in order.

    A folder stands for all pictures and clips below it, sorted by path; hidden files, other kinds of files
    and what magdr itself wrote for people to look at are passed over.

    Raises:
        click.UsageError: a path that does not exist, or a folder without any picture.
    """
    found: list[Input] = []
    for path in paths:
        if path.is_dir():
            below = [Input(p, p.relative_to(path).as_posix()) for p in _below(path, videos)]
            if not below:
                what = "picture or clip" if videos else "picture"
                raise click.UsageError(f"folder {str(path)!r} holds no {what}")
            found += below
        elif path.exists():
            found.append(Input(path, path.name))
        else:
            raise click.UsageError(f"{str(path)!r} does not exist")
    return found


def _below(folder: Path, videos: bool) -> Iterable[Path]:
    wanted = PICTURE_SUFFIXES + (VIDEO_SUFFIXES if videos else ())
    paths = []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for name in files:
            low = name.lower()
            if low.endswith(wanted) and not low.endswith(FOR_PEOPLE) and not name.startswith("."):
                paths.append(Path(place, name))
    return sorted(paths)


def check_results(inputs: Sequence[Input], out: Path, changed: str) -> None:
    """Refuse before anything is written what would overwrite an input, or one result with another.

    Raises:
        click.UsageError: two inputs share a name, or a result would have an input's path.
    """
    known = {i.path.resolve() for i in inputs}
    taken: dict[str, Input] = {}
    for given in inputs:
        other = taken.setdefault(given.name, given)
        if other is not given:
            raise click.UsageError(
                f"{other.path} and {given.path} would have results of one name; name the folder above them"
            )
        for result in given.results(out, changed).values():
            if result.resolve() in known:
                raise click.UsageError(f"{result} is an input and would be overwritten; choose another --out")

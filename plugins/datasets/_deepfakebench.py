"""The lists that DeepfakeBench makes of prepared data sets, and whose video a fake was, by its name.

A list is a JSON tree: data set > label > split > (compression >) video > frames, masks, landmarks. Its paths
were written on somebody's machine, with that machine's folders and slashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from magdr_core.api import DataError, read_json, suggestion

from ._clips import PictureClip

OFFICIAL = {"train": "train", "val": "calibration", "test": "test"}

LARGEST = 2**29
"""Bytes of a list; that of FaceForensics++ with all compressions has 150 million."""

_NAMES = (
    (re.compile(r"(\d{3})_(\d{3}|[A-Z]\d{3})"), r"\1", (1, 2)),  # FaceForensics++, DeeperForensics
    (re.compile(r"(id\d+)_(id\d+)_(\d+)"), r"\1_\3", (1, 2)),  # Celeb-DF
    (re.compile(r"(\d{2})_(\d{2})__(.+)__[A-Z0-9]+"), r"\1__\3", (1, 2)),  # DeepFakeDetection
    (re.compile(r"(\d+)_(\d+)_([A-Z].*)"), r"\2_\3", (2, 1)),  # DFDC's preview
    (re.compile(r"(\d+)_fake"), r"\1", (1,)),  # UADFV
)
"""How data sets name a fake, its real video, and the people: who is seen, then whose face was put in."""


class Listed(NamedTuple):
    """A video of a list.

    Attributes:
        frames: as the list has them.
        masks: the same; empty where it has none.
    """

    frames: tuple[str, ...]
    masks: tuple[str, ...]


def named_after(fake: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The real video that a fake may be of, and its people, by every rule that its name fits.

    >>> list(named_after("id0_id16_0003"))
    [('id0_0003', ('id0', 'id16'))]
    """
    for pattern, real, people in _NAMES:
        if match := pattern.fullmatch(fake):
            yield match.expand(real), tuple(match[number] for number in people)


def is_real(label: str) -> bool:
    """Whether a label is of real videos: `FF-real`, `CelebDFv2_real`, `DFDCP_Real`."""
    return label.lower().endswith("real")


def read_tree(path: Path, compression: str) -> dict[str, dict[str, dict[str, Listed]]]:
    """Label -> video -> split -> what is listed of it.

    Raises:
        DataError: it is no such list, or has not this compression.
    """
    content = read_json(path, error=DataError, most=LARGEST)
    if not isinstance(content, dict) or len(content) != 1:
        raise DataError(f"{path}: is no list of DeepfakeBench, one data set > label > split > video")
    ((dataset, labels),) = content.items()
    found: dict[str, dict[str, dict[str, Listed]]] = {}
    for label, splits in _tree(labels, path, dataset):
        found[label] = {}
        for split, videos in _tree(splits, path, f"{dataset} > {label}"):
            where = f"{dataset} > {label} > {split}"
            if split not in OFFICIAL:
                raise DataError(f"{path}: {where}: expected one of {', '.join(OFFICIAL)}")
            for video, told in _tree(_of(videos, compression, path, where), path, where):
                listed = Listed(*(_paths(told, what, path, f"{where} > {video}") for what in Listed._fields))
                found[label].setdefault(video, {})[OFFICIAL[split]] = listed
    return found


def _tree(value: Any, path: Path, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {where}: expected a table, got a {type(value).__name__}")
    yield from value.items()


def _of(videos: Any, compression: str, path: Path, where: str) -> Any:
    """The videos themselves, where there is a level of compressions."""
    below = list(videos.values()) if isinstance(videos, dict) else []
    if not below or any("frames" in one for one in below if isinstance(one, dict)):
        return videos
    if not all(isinstance(one, dict) for one in below):
        return videos  # no table of videos; the caller says so
    alike = {"raw": ("raw", "c0"), "c0": ("c0", "raw")}.get(compression, (compression,))
    for name in alike:
        if name in videos:
            return videos[name]
    hint = suggestion(compression, list(videos))
    raise DataError(f"{path}: {where}: has no {compression}, only {', '.join(videos)[:60]}{hint}")


def _paths(told: Any, what: str, path: Path, where: str) -> tuple[str, ...]:
    listed = told.get(what, [] if what == "masks" else None) if isinstance(told, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise DataError(f"{path}: {where}: expected a list of {what}")
    return tuple(listed)


class Places:
    """Where listed files are on this machine.

    Args:
        path: the list.
        root: the folder of the data; of the list if None, and then absolute paths may be right as they are.
    """

    def __init__(self, path: Path, root: Path | None) -> None:
        self._path, self._root = path, path.parent if root is None else root
        self._as_they_are = root is None
        self._dropped = 0

    def clip(self, listed: tuple[str, ...]) -> PictureClip | None:
        """The frames that a list names, in one folder; None if they are not there.

        Raises:
            DataError: a path leads out of the folder, or the frames are in several.
        """
        if not listed:
            return None
        parts = [self._parts(one) for one in listed]
        folders = {tuple(one[:-1]) for one in parts}
        if len(folders) > 1:
            raise DataError(f"{self._path}: {listed[0][:80]}: is listed with frames of another folder")
        as_it_is = Path(listed[0]).parent
        if self._as_they_are and as_it_is.is_absolute() and as_it_is.is_dir():
            folder: Path | None = as_it_is
        else:
            folder = self._folder(parts[0][:-1])
        return None if folder is None else PictureClip(folder, [folder / one[-1] for one in parts])

    def _parts(self, text: str) -> list[str]:
        parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
        if ".." in parts:
            raise DataError(f"{self._path}: {text[:80]!r} leads out of the data's folder")
        return parts

    def _folder(self, parts: list[str]) -> Path | None:
        """Of another machine's path, the folder below the root: what stands before it is dropped."""
        for dropped in dict.fromkeys((self._dropped, *range(len(parts)))):
            folder = self._root.joinpath(*parts[dropped:])
            if dropped < len(parts) and folder.is_dir():
                self._dropped = dropped
                return folder
        return None

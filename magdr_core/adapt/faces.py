"""A folder of pictures as faces of the generator's size, shared out into train, calibration and test."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from magdr_core.calibration.album import MIN_PICTURES
from magdr_core.errors import DataError, one_line
from magdr_core.files.disk import write_atomically
from magdr_core.inference.loaded import because, load
from magdr_core.inference.sources import Input, below
from magdr_core.media import FaceFinder, write_picture

SPLITS = ("train", "calibration", "test")
FOLDER = "faces"
"""Of the output folder: the cut faces, in a folder for each split."""

SHARE = 0.2
"""Of the pictures for calibration, and as many for the test."""

LEAST: Mapping[str, int] = {"train": 16, "calibration": MIN_PICTURES, "test": 8}
"""Fewest pictures of each split."""

MASK = ".mask.png"
"""What lies beside the pictures of a `portraits` folder and is none."""

Progress = Callable[[str, int, int], None]
"""Told (what, done, total)."""


def pictures_below(folder: Path, out: Path | None = None) -> list[Input]:
    """All pictures below a folder but masks, sorted by path.

    Args:
        out: a folder whose pictures are none of them, wherever it is.

    Raises:
        DataError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"{str(folder)!r} is no folder; --data takes a folder of pictures")
    found = [given for given in below(folder, videos=False) if not given.name.endswith(MASK)]
    if out is not None:
        own = out.resolve()
        found = [given for given in found if own not in given.path.resolve().parents]
    if not found:
        raise DataError(f"folder {str(folder)!r} holds no picture")
    return found


def told_by(inputs: Sequence[Input]) -> list[list[object]]:
    """What names the pictures without reading them: paths, sizes and times of change; JSON-able."""
    return [[i.name, i.path.stat().st_size, i.path.stat().st_mtime_ns] for i in inputs if i.path.is_file()]


def cut_faces(
    folder: Path,
    inputs: Sequence[Input],
    out: Path,
    size: int,
    *,
    finder: FaceFinder | None,
    attributes: Sequence[str] = (),
    log: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, int]:
    """Write the largest face of each picture as `OUT/faces/SPLIT/NAME.png`, 8-bit.

    A picture keeps to its split: the one of the folder `train`, `calibration` or `test` that it lies in, if
    all do; the one that `list.csv` names (the layout of `portraits`); else a hash of its path decides.

    Args:
        size: of the faces.
        finder: of faces; None for no search, the middle square of each picture.
        attributes: written to `attributes.csv` as 0 for every picture, since nothing is known of them.

    Returns:
        How many pictures each split has.

    Raises:
        DataError: too few pictures can be used.
        WriteError: a face cannot be written.
    """
    faces = out / FOLDER
    shutil.rmtree(faces, ignore_errors=True)
    used: list[str] = []
    skipped = 0
    waiting = faces / ".cut"
    for number, given in enumerate(inputs):
        try:
            face = load(given, size, finder).face
        except Exception as e:  # one picture of many, told by its name
            skipped += 1
            log(f"skipped {one_line(because(given, e))}")
        else:
            waiting.mkdir(parents=True, exist_ok=True)
            write_picture(waiting / f"{len(used)}.png", face)
            used.append(given.name)
        progress("cutting faces", number + 1, len(inputs))
    splits = shared_out(used, folder)
    counts = {split: list(splits.values()).count(split) for split in SPLITS}
    for split, least in LEAST.items():
        if counts[split] < least:
            shutil.rmtree(faces, ignore_errors=True)
            whence = f"; {skipped} of {len(inputs)} could not be used" if skipped else ""
            raise DataError(
                f"{folder}: {counts[split]} pictures for {split} are too few, {least} at least "
                f"({sum(LEAST.values())} in all){whence}"
            )
    rows = [["file", *attributes]]
    for number, name in enumerate(used):
        target = faces / splits[name] / f"{_without_split(name, splits[name])}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        (waiting / f"{number}.png").replace(target)
        rows.append([target.relative_to(faces).as_posix(), *("0" for _ in attributes)])
    waiting.rmdir()
    if attributes:
        write_atomically(faces / "attributes.csv", lambda path: _write_csv(path, rows))
    return counts


def shared_out(names: Sequence[str], folder: Path) -> dict[str, str]:
    """The split of each picture by its relative path, see :func:`cut_faces`."""
    tops = {name: name.partition("/")[0] for name in names}
    if names and set(tops.values()) <= set(SPLITS):
        return tops
    listed = _listed(folder / "list.csv")
    if listed and all(_stem(name) in listed for name in names):
        return {name: listed[_stem(name)] for name in names}
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
    calibration = max(round(SHARE * len(ranked)), LEAST["calibration"])
    test = max(round(SHARE * len(ranked)), LEAST["test"])
    ends = {"test": test, "calibration": test + calibration, "train": len(ranked)}
    return {
        name: next(s for s, end in ends.items() if place < end or s == "train")
        for place, name in enumerate(ranked)
    }


def _listed(path: Path) -> dict[str, str]:
    """The splits in a list with the columns `name` and `split`, by name; empty where there is none."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(row.get("name"), row.get("split")) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return {name: split for name, split in rows if name and split in SPLITS}


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _without_split(name: str, split: str) -> str:
    return name.removeprefix(f"{split}/")


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)

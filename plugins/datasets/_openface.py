"""Action units from OpenFace's files, whatever columns they have besides.

Sources: OpenFace 2 (Baltrusaitis et al., FG 2018) writes `face, confidence, ...` for images and `frame,
face_id, timestamp, confidence, success, ...` for sequences; the GANimation code bases read 17 intensities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from magdr_core.api import DataError

from ._splits import digest
from ._tables import fields

UNITS = tuple(f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45))
"""The 17 intensities, in the order of `Batch.action_units`."""

_FACTS = ("frame", "confidence", "success")

CONFIDENCE = 0.88
"""Rows below are dropped by default, as the public reenactment code does."""


def image_units(path: Path, confidence: float) -> dict[str, Tensor]:
    """Action units of pictures: name without suffix -> `[17]` in [0,1].

    Args:
        path: a folder with one csv per picture (FaceLandmarkImg, or FeatureExtraction on single pictures), or
            the text file of the vipermu code: `name.jpg` and 17 values a line. Its loader skips two header
            lines that its writer does not write; here the first two are skipped only if they hold no data.
        confidence: less sure rows of a csv are dropped; of several faces the surest one is taken.

    Raises:
        DataError: none of these, or damaged.
    """
    if path.is_dir():
        units = {}
        for file in sorted(path.rglob("*.csv")):
            found, frames = _rows(file, confidence)
            if frames > 1:
                raise DataError(f"{file}: holds {frames} frames; a picture needs a csv of its own")
            for values in found.values():
                units[file.relative_to(path).with_suffix("").as_posix()] = values
    elif path.suffix.lower() == ".csv":
        raise DataError(f"{path}: pictures need a folder with one OpenFace csv per picture")
    elif path.suffix.lower() in (".pkl", ".pickle"):
        raise DataError(f"{path}: a pickle can run code; give OpenFace's csv files")
    else:
        units = _text(path)
    if not units:
        raise DataError(f"{path}: no action units with a confidence of {confidence:g} or more")
    return units


def frame_units(path: Path, confidence: float) -> dict[int, Tensor]:
    """Action units of the frames of a clip: frame from 0 on -> `[17]` in [0,1].

    Args:
        path: the csv of FeatureExtraction, whose frames count from 1.
        confidence: as in :func:`image_units`.

    Raises:
        DataError: not such a file, or damaged.
    """
    units, _ = _rows(path, confidence)
    if not units:
        raise DataError(f"{path}: no action units with a confidence of {confidence:g} or more")
    return units


def find_units(units: dict[str, Tensor], name: str) -> Tensor | None:
    """Those of a picture: by its relative path without suffix, else by its bare name."""
    stem = PurePosixPath(name).with_suffix("")
    found = units.get(stem.as_posix())
    return found if found is not None else units.get(stem.name)


def units_digest(units: dict[str, Tensor] | dict[int, Tensor]) -> str:
    """A hash of all values, for fingerprints."""
    return digest(*(part for k, v in units.items() for part in (str(k), v.numpy().tobytes())))


def _rows(path: Path, confidence: float) -> tuple[dict[int, Tensor], int]:
    """The surest row of each frame (from 0 on; a csv of a picture has frame 0 only), and the frames seen."""
    best: dict[int, tuple[float, Tensor]] = {}
    seen: set[int] = set()
    for number, row in _named(path):
        try:
            at = int(row.get("frame", "1")) - 1
            # `success` is 0 where OpenFace lost the face; its intensities mean nothing then.
            sure = float(row.get("confidence", "1")) if float(row.get("success", "1")) else -1.0
        except ValueError:
            raise DataError(f"{path}:{number}: frame, confidence or success is not a number") from None
        seen.add(at)
        if sure >= confidence and (at not in best or sure > best[at][0]):
            best[at] = sure, _scaled([row[u] for u in UNITS], f"{path}:{number}")
    return {at: values for at, (_, values) in sorted(best.items())}, len(seen)


def _named(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by the names in the header: a run without `-aus` puts hundreds of columns before the units."""
    header: list[str] = []
    for number, cells in fields(path):
        if not header:
            header = cells
            missing = [u for u in UNITS if u not in header]
            twice = next((name for name in (*UNITS, *_FACTS) if header.count(name) > 1), None)
            if twice is not None:
                raise DataError(f"{path}:{number}: has the column {twice} twice")
            if missing:
                raise DataError(f"{path}: has no column {missing[0]}; run OpenFace with -aus")
            continue
        if len(cells) != len(header):
            raise DataError(f"{path}:{number}: {len(cells)} fields, the header has {len(header)}")
        yield number, dict(zip(header, cells, strict=True))


def _text(path: Path) -> dict[str, Tensor]:
    units: dict[str, Tensor] = {}
    for number, cells in fields(path):
        if len(cells) == len(UNITS) + 1 and _is_number(cells[1]):
            units[PurePosixPath(cells[0]).with_suffix("").as_posix()] = _scaled(cells[1:], f"{path}:{number}")
        elif number > 2 or units:
            raise DataError(f"{path}:{number}: expected a file name and {len(UNITS)} intensities")
    return units


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _scaled(texts: list[str], where: str) -> Tensor:
    try:
        values = [float(t) for t in texts]
    except ValueError:
        raise DataError(f"{where}: an intensity is not a number") from None
    wrong = [v for v in values if not (math.isfinite(v) and 0 <= v <= 5)]
    if wrong:
        raise DataError(f"{where}: intensity {wrong[0]:g} is outside 0 to 5")
    return torch.tensor(values, dtype=torch.float32) / 5

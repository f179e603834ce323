"""The two lists of a folder of portraits: who is there, and where the points of the face mesh are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magdr_core.api import DataError

from ._splits import SPLITS
from ._tables import fields
from .retouch.mesh import POINTS

COLUMNS = ["name", "split", "size", "source_side"]
LEAST, MOST = 32, 4096


@dataclass(frozen=True)
class Portrait:
    """One line: the files' name without suffix, the split, the picture's side, and that of the cut in the
    original, in pixels."""

    name: str
    split: str
    size: int
    source_side: int


def read_list(path: Path) -> list[Portrait]:
    """The portraits of a `list.csv`.

    Raises:
        DataError: missing, another header, an unknown split, a side that is no number of pixels, a name that
            is there twice or outside the folder, or no line; the line is named.
    """
    found: dict[str, Portrait] = {}
    for i, (number, cells) in enumerate(fields(path)):
        where = f"{path}:{number}"
        if i == 0:
            if cells != COLUMNS:
                raise DataError(f"{where}: expected the columns {','.join(COLUMNS)}")
            continue
        if len(cells) != len(COLUMNS):
            raise DataError(f"{where}: {len(cells)} fields, expected {len(COLUMNS)}")
        name, split, *sides = cells
        if name.startswith("/") or ".." in name.split("/") or not name:
            raise DataError(f"{where}: {name[:60]!r} is not a picture inside the dataset's folder")
        if name in found:
            raise DataError(f"{where}: lists {name!r} twice")
        if split not in SPLITS:
            raise DataError(f"{where}: {split!r} is not one of {', '.join(SPLITS)}")
        size, source_side = (int(s) if s.isascii() and s.isdigit() and len(s) < 6 else -1 for s in sides)
        if not LEAST <= size <= MOST or source_side < 0:
            raise DataError(f"{where}: {','.join(sides)} are no sides in pixels ({LEAST} to {MOST})")
        found[name] = Portrait(name, split, size, source_side)
    if not found:
        raise DataError(f"{path}: lists no portrait")
    return list(found.values())


def read_landmarks(path: Path) -> dict[str, Tensor]:
    """Points by name, `[468,2]` float32 in pixels of the picture.

    Raises:
        DataError: missing, no such file, other arrays or shapes, or points that are not finite.
    """
    if not path.is_file():
        raise DataError(f"{path}: does not exist")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, points = arrays["names"], arrays["points"]
    except KeyError:
        raise DataError(f"{path}: has no arrays 'names' and 'points'") from None
    except Exception:  # numpy's, zipfile's and zlib's own, whatever the damage is
        raise DataError(f"{path}: is damaged, or no file of numpy's (npz)") from None
    if points.ndim != 3 or points.shape != (len(names), POINTS, 2) or points.dtype.kind not in "fiu":
        raise DataError(f"{path}: points are {points.shape}, expected ({len(names)}, {POINTS}, 2)")
    values = torch.from_numpy(points.astype(np.float32))
    if not bool(values.isfinite().all()):
        raise DataError(f"{path}: holds points that are not finite")
    return {str(name): values[i] for i, name in enumerate(names)}

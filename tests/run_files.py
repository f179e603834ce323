"""Single files of a run folder, written and read by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from magdr_core.results.pictures import pack_pictures, unpack_pictures
from magdr_core.results.run_folder import PICTURES, VALUES
from magdr_core.results.values import CellValues, pack_values, unpack_values


def save_values(run: Path, cells: Iterable[Any]) -> None:
    (run / VALUES).write_bytes(pack_values(cells))


def load_values(run: Path) -> dict[str, CellValues]:
    return unpack_values((run / VALUES).read_bytes())


def save_pictures(run: Path, pictures: Mapping[tuple[str, str, str, str], Tensor]) -> None:
    if pictures:
        (run / PICTURES).write_bytes(pack_pictures(pictures))


def load_pictures(run: Path) -> dict[tuple[str, ...], Tensor]:
    """uint8 `[P,3,H,W]` by (task, attack, component, side); empty of a run without."""
    path = run / PICTURES
    return unpack_pictures(path.read_bytes()) if path.is_file() else {}

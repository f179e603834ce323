"""Any pictures below a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import PICTURE_SUFFIXES, DataError, DataPath, DatasetSpec, Field, hookimpl, read_picture

from ._openface import CONFIDENCE, find_units, image_units, units_digest
from ._pictures import beside, centre_square, file_digest, given_folder, squared
from ._splits import RowSplit, all_in, by_folder, by_hash, check_split, digest
from ._tables import AttributeTable, check_ids, read_attributes

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""


def pictures_below(root: Path) -> list[str]:
    """Relative POSIX paths of all picture files, sorted by their characters. Hidden files and folders (also
    the `._` doubles of macOS) are left out, links to folders are not followed."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith((".", "__MACOSX"))]
        for file in files:
            if file.lower().endswith(PICTURE_SUFFIXES) and not file.startswith("."):
                found.append(Path(folder, file).relative_to(root).as_posix())
    return sorted(found)


def _id(name: str) -> str:
    """A name that is no Unicode cannot be written to a result file; what stands for its bytes can."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class Folder:
    """Any pictures below a folder, with attributes or action units where a file has them.

    Rows are the picture files in the order of their paths.

    Args:
        path: the folder with the pictures.
        size: side of the square pictures, in pixels.
        fit: "crop" keeps the middle square, "stretch" everything.
        split: "hash" puts 60, 20 and 20% of the pictures into train, calibration and test by a hash of the
            relative path; "folders" takes what lies in folders called `train`, `calibration` and `test`; or
            all of them are in the named one.
        attributes: a csv (file name, then -1/0/1 columns) or a list like CelebA's, relative to the folder.
        action_units: OpenFace's files, relative to the folder; pictures without a sure row are left out.
        confidence: least confidence, in [0,1], from which a row of OpenFace counts as sure.

    Raises:
        DataError: the folder or one of the files is missing.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        fit: Literal["crop", "stretch"] = "crop",
        split: Literal["hash", "folders", "train", "calibration", "test"] = "hash",
        attributes: str = "",
        action_units: str = "",
        confidence: Annotated[float, Field(ge=0, le=1)] = CONFIDENCE,
    ) -> None:
        self.size = size
        self.device = torch.device("cpu")
        self._fit, self._shares, self._confidence = fit, split, confidence
        self._root = given_folder(path, "folder")
        self._table_path = beside(self._root, attributes)
        self._units_path = beside(self._root, action_units)

    @cached_property
    def _names(self) -> list[str]:
        names = pictures_below(self._root)
        if not names:
            raise DataError(f"{self._root}: holds no picture ({', '.join(PICTURE_SUFFIXES)})")
        if self._units_path is not None:
            names = [n for n in names if find_units(self._units, n) is not None]
            if not names:
                raise DataError(f"{self._units_path}: is about none of the pictures below {self._root}")
        check_ids([_id(name) for name in names], self._root)
        return names

    @cached_property
    def _units(self) -> dict[str, Tensor]:
        return {} if self._units_path is None else image_units(self._units_path, self._confidence)

    @cached_property
    def _table(self) -> tuple[AttributeTable, list[int]] | None:
        """The attribute table, and its line for each picture."""
        if self._table_path is None:
            return None
        table = read_attributes(self._table_path)
        line = {Path(file).as_posix(): i for i, file in enumerate(table.files)}
        for name in self._names:
            if name not in line:
                raise DataError(f"{self._table_path}: has no line for {name}")
        for file in line:
            if not (self._root / file).is_file():
                raise DataError(f"{self._root / file}: does not exist, but {self._table_path.name} lists it")
        return table, [line[name] for name in self._names]

    def split(self, name: str) -> RowSplit[int]:
        check_split(name, "folder")
        _ = self._table  # a table that does not fit is found now, not at the first picture
        return RowSplit(self, name, self._rows()[name])

    def _rows(self) -> dict[str, list[int]]:
        if self._shares == "hash":
            return by_hash(self._names)
        if self._shares == "folders":
            return by_folder(self._names, self._root)
        return all_in(self._shares, len(self._names))

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(_id(self._names[row]) for row in rows)

    def image(self, row: int) -> Tensor:
        image = read_picture(self._root / self._names[row]).image
        return squared(image, self.size) if self._fit == "stretch" else centre_square(image, self.size)

    def facts(self, rows: Sequence[int]) -> Mapping[str, Any]:
        facts: dict[str, Any] = {}
        if self._table is not None:
            table, lines = self._table
            facts["attributes"] = table.of([lines[row] for row in rows])
        if self._units_path is not None:
            found = [find_units(self._units, self._names[row]) for row in rows]
            facts["action_units"] = torch.stack([u for u in found if u is not None]) if found else None
        return facts

    @cached_property
    def _content(self) -> str:
        parts = [part for n in self._names for part in (n, file_digest(self._root / n))]
        table = "" if self._table_path is None else file_digest(self._table_path)
        return digest(*parts, table, units_digest(self._units))

    def fingerprint(self) -> str:
        """Names the pictures by their relative paths and their content, read once.

        Times of change are no part of it, so that a copy of the folder keeps its calibration and its results.
        """
        return f"folder-v{VERSION}-{self._shares}-{self._fit}-{self.size}px-{self._content}"


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="folder", build=Folder, tags=("photos",))]

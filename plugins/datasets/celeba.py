"""CelebA: aligned faces with 40 attributes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl

from ._openface import CONFIDENCE, find_units, image_units, units_digest
from ._pictures import (
    beside,
    centre_box,
    file_digest,
    find,
    find_optional,
    given_folder,
    listing,
    read_listed,
    squared,
)
from ._splits import SPLITS, RowSplit, check_split, digest
from ._tables import AttributeTable, check_ids, read_attributes, read_numbers

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""

IMAGES = (
    "img_align_celeba/img_align_celeba",  # Kaggle's archive has the folder twice
    "img_align_celeba",
    "Img/img_align_celeba",
    "images",
)
ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt", "list_attr_celeba.csv")
PARTITION = ("list_eval_partition.txt", "Eval/list_eval_partition.txt", "list_eval_partition.csv")
IDENTITIES = ("identity_CelebA.txt", "Anno/identity_CelebA.txt")

STARGAN_TEST = 1999
"""StarGAN's test pictures: `i + 1 < 2000` in its loader."""


class CelebA:
    """CelebA's aligned faces with 40 attributes, from your own copy.

    Rows are the lines of the attribute file.

    Args:
        path: the folder that holds the pictures' folder and the lists, in the official, StarGAN's or Kaggle's
            layout.
        size: side of the square pictures, in pixels.
        crop: side of the middle square that is kept of the 178 x 218 pixels (AttGAN takes 170).
        split: "official" (people apart; calibration is the official validation part), or "stargan".
        action_units: OpenFace's files, relative to the folder; pictures without a sure row are left out.
        confidence: least confidence, in [0,1], from which a row of OpenFace counts as sure.

    Raises:
        DataError: the folder or one of its lists is missing.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        crop: Annotated[int, Field(ge=16, le=4096)] = 178,
        split: Literal["official", "stargan"] = "official",
        action_units: str = "",
        confidence: Annotated[float, Field(ge=0, le=1)] = CONFIDENCE,
    ) -> None:
        self.size, self.crop = size, crop
        self.device = torch.device("cpu")
        self._root = given_folder(path, "celeba")
        self._images = find(self._root, IMAGES, "folder of pictures")
        self._table_path = find(self._root, ATTRIBUTES, "attribute file")
        self._identity_path = find_optional(self._root, IDENTITIES)
        self._shares = split
        self._partition_path: Path | None = None
        if split == "official":
            self._partition_path = find(
                self._root, PARTITION, "partition file (split = 'stargan' needs none)"
            )
        self._units_path = beside(self._root, action_units)
        self._confidence = confidence

    # -- what the files say -----------------------------------------------------------------------------

    @cached_property
    def _table(self) -> AttributeTable:
        table = read_attributes(self._table_path)
        check_ids([Path(file).stem for file in table.files], self._table_path)
        return table

    @cached_property
    def _identities(self) -> Tensor | None:
        if self._identity_path is None:
            return None
        known = read_numbers(self._identity_path)
        return torch.tensor([_lookup(known, f, self._identity_path) for f in self._table.files])

    @cached_property
    def _units(self) -> dict[str, Tensor]:
        return {} if self._units_path is None else image_units(self._units_path, self._confidence)

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        files = self._table.files
        if self._partition_path is None:
            rows = stargan_split(len(files))
        else:
            known = read_numbers(self._partition_path, allowed=range(len(SPLITS)))
            part = [_lookup(known, f, self._partition_path) for f in files]
            rows = {name: [i for i, p in enumerate(part) if p == n] for n, name in enumerate(SPLITS)}
        if self._units_path is not None:
            rows = {
                n: [i for i in r if find_units(self._units, files[i]) is not None] for n, r in rows.items()
            }
        return rows

    # -- the dataset ------------------------------------------------------------------------------------

    def split(self, name: str) -> RowSplit[int]:
        return RowSplit(self, check_split(name, "celeba"), self._rows[name])

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(f"celeba-{Path(self._table.files[row]).stem}" for row in rows)

    def image(self, row: int) -> Tensor:
        path = self._images / self._table.files[row]
        image = read_listed(path, self._table_path)
        height, width = image.shape[1:]
        if min(height, width) < self.crop:
            raise DataError(f"{path}: {width} x {height} pixels, crop = {self.crop} does not fit")
        return squared(image, self.size, centre_box(width, height, self.crop))

    def facts(self, rows: Sequence[int]) -> Mapping[str, Any]:
        chosen = list(rows)
        facts: dict[str, Any] = {"attributes": self._table.of(chosen)}
        if self._identities is not None:
            facts["identities"] = self._identities[chosen]
        if self._units_path is not None:
            found = [find_units(self._units, self._table.files[row]) for row in chosen]
            facts["action_units"] = torch.stack([u for u in found if u is not None]) if found else None
        return facts

    def fingerprint(self) -> str:
        """Names the pictures by the tables' content, and by file names and sizes.

        Two hundred thousand pictures are not read for it: one that is replaced by another of exactly the same
        length goes unseen.
        """
        tables = [self._table_path, self._partition_path, self._identity_path]
        parts = [file_digest(p) for p in tables if p is not None]
        content = digest(*parts, units_digest(self._units), listing(self._images))
        return f"celeba-v{VERSION}-{self._shares}-crop{self.crop}-{self.size}px-{content}"


def stargan_split(count: int) -> dict[str, list[int]]:
    """StarGAN's split of a table's lines: shuffled with seed 1234, the first 1,999 are test.

    It has no validation part; the last tenth of the shuffled lines is calibration here, the lines between
    are train. The three never meet. The public checkpoints were trained on all but the test lines, so they
    have seen the calibration pictures; and people are not kept apart, as they are in the official partition.

    Source: yunjey/stargan, data_loader.py and main.py.
    """
    lines = list(range(count))
    random.Random(1234).shuffle(lines)
    last = count - count // 10
    last = max(last, min(STARGAN_TEST, count))
    return {
        "train": lines[STARGAN_TEST:last],
        "calibration": lines[last:],
        "test": lines[:STARGAN_TEST],
    }


def _lookup(known: Mapping[str, int], file: str, path: Path) -> int:
    if file not in known:
        raise DataError(f"{path}: has no line for {file}")
    return known[file]


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="celeba",
            build=CelebA,
            cite="Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015",
            tags=("faces", "photos", "attributes"),
        )
    ]

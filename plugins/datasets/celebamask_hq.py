"""CelebAMask-HQ: 30,000 faces with hand-drawn part masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl, read_picture
from magdr_core.functional import CLASSES, resize_masks

from ._pictures import file_digest, find, find_optional, given_folder, listing, read_listed, squared
from ._splits import SPLITS, RowSplit, check_split, digest
from ._tables import AttributeTable, check_ids, read_attributes, read_mapping, read_numbers

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures or masks."""

NAME = "celebamask-hq"
IMAGES = ("CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img")
MASKS = ("CelebAMask-HQ-mask-anno", "CelebAMask-HQ/CelebAMask-HQ-mask-anno")
ATTRIBUTES = ("CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ/CelebAMask-HQ-attribute-anno.txt")
MAPPING = ("CelebA-HQ-to-CelebA-mapping.txt", "CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt")
IDENTITIES = ("identity_CelebA.txt", "CelebAMask-HQ/identity_CelebA.txt")

PER_FOLDER = 2000
"""Masks are in folders of this many pictures."""

LAST_TRAIN, LAST_VALIDATION = 162_770, 182_637
"""CelebA's official partition, by picture number; this dataset uses the same one."""


class CelebAMaskHQ:
    """CelebAMask-HQ's 30,000 faces with part masks and 40 attributes, from your own copy.

    Rows are the lines of the attribute file.

    Args:
        path: the folder `CelebAMask-HQ`, or the one that holds it.
        size: side of the pictures and masks, in pixels; whole pictures, without a crop.
        masks: read the part masks, 19 soft classes in the face parser's order.

    Raises:
        DataError: the folder or one of its lists is missing.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        masks: bool = True,
    ) -> None:
        self.size = size
        self.device = torch.device("cpu")
        root = given_folder(path, NAME)
        self._images = find(root, IMAGES, "folder of pictures")
        self._masks = (
            find(root, MASKS, "folder of part masks (masks = false does without)") if masks else None
        )
        self._table_path = find(root, ATTRIBUTES, "attribute file")
        self._mapping_path = find(root, MAPPING, "mapping to CelebA's pictures")
        self._identity_path = find_optional(root, IDENTITIES)

    @cached_property
    def _table(self) -> AttributeTable:
        return read_attributes(self._table_path)

    @cached_property
    def _index(self) -> list[int]:
        """The number in each row's file name."""
        numbers = [Path(file).stem for file in self._table.files]
        wrong = [n for n in numbers if not (n.isascii() and n.isdigit() and len(n) < 10)]
        if wrong:
            raise DataError(f"{self._table_path}: {wrong[0]!r} is not named by a number")
        check_ids([str(int(n)) for n in numbers], self._table_path)
        return [int(n) for n in numbers]

    @cached_property
    def _originals(self) -> list[int]:
        """CelebA's picture number of each row."""
        known = read_mapping(self._mapping_path)
        missing = [i for i in self._index if i not in known]
        if missing:
            raise DataError(f"{self._mapping_path}: has no line for picture {missing[0]}")
        return [known[i] for i in self._index]

    @cached_property
    def _identities(self) -> Tensor | None:
        if self._identity_path is None:
            return None
        try:
            known = {int(Path(f).stem): who for f, who in read_numbers(self._identity_path).items()}
        except ValueError as e:
            raise DataError(f"{self._identity_path}: a picture is not named by a number ({e})") from None
        missing = [o for o in self._originals if o not in known]
        if missing:
            raise DataError(f"{self._identity_path}: has no line for {missing[0]:06d}.jpg")
        return torch.tensor([known[o] for o in self._originals])

    def split(self, name: str) -> RowSplit[int]:
        wanted = SPLITS.index(check_split(name, NAME))
        return RowSplit(self, name, [i for i, o in enumerate(self._originals) if _part(o) == wanted])

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(f"{NAME}-{self._index[row]:05d}" for row in rows)

    def image(self, row: int) -> Tensor:
        return squared(read_listed(self._images / self._table.files[row], self._table_path), self.size)

    def facts(self, rows: Sequence[int]) -> Mapping[str, Any]:
        chosen = list(rows)
        facts: dict[str, Any] = {"attributes": self._table.of(chosen)}
        if self._identities is not None:
            facts["identities"] = self._identities[chosen]
        if self._masks is not None:
            soft = [soft_masks(self._masks, self._index[row], self.size) for row in chosen]
            empty = torch.empty(0, len(CLASSES), self.size, self.size)
            facts["masks"] = torch.stack(soft) if soft else empty
        return facts

    def fingerprint(self) -> str:
        """Names the data by the tables' content, the pictures' names and sizes, and whether masks are read.

        The masks' half a million files are not looked at; pictures are not read.
        """
        tables = [self._table_path, self._mapping_path, self._identity_path]
        content = digest(*(file_digest(p) for p in tables if p is not None), listing(self._images))
        masks = "masks" if self._masks is not None else "plain"
        return f"{NAME}-v{VERSION}-{masks}-{self.size}px-{content}"


def _part(original: int) -> int:
    return 0 if original <= LAST_TRAIN else 1 if original <= LAST_VALIDATION else 2


def labels(folder: Path, index: int) -> Tensor:
    """The parts of a picture merged into one map `[H,W]` of positions in `CLASSES` (int64).

    Later parts of the list cover earlier ones, a missing file is an absent part, and any channel above 0
    counts (the files are RGB, grey or palette, with 255 or other values inside).

    Raises:
        DataError: no part at all, a damaged file, or parts of different sizes.

    Source: switchablenorms/CelebAMask-HQ and zllrunning/face-parsing.PyTorch, whose class order is taken.
    """
    merged: Tensor | None = None
    here = folder / str(index // PER_FOLDER)
    for position, part in enumerate(CLASSES):
        file = here / f"{index:05d}_{part}.png"
        if not position or not file.is_file():
            continue
        inside = (read_picture(file).image > 0).any(0)
        if merged is None:
            merged = torch.zeros(inside.shape, dtype=torch.int64)
        if inside.shape != merged.shape:
            raise DataError(f"{file}: {tuple(inside.shape)}, the parts before it are {tuple(merged.shape)}")
        merged[inside] = position
    if merged is None:
        raise DataError(
            f"{here / f'{index:05d}_skin.png'}: does not exist, nor has {index} any other part mask"
        )
    return merged


def soft_masks(folder: Path, index: int, size: int) -> Tensor:
    """`[19,size,size]` over `CLASSES`, sum 1 at each pixel: the share of each class in a pixel."""
    hard = torch.nn.functional.one_hot(labels(folder, index), len(CLASSES))
    return resize_masks(hard.permute(2, 0, 1).unsqueeze(0).float(), (size, size))[0]


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name=NAME,
            build=CelebAMaskHQ,
            cite="Lee et al., MaskGAN, CVPR 2020 (arXiv 1907.11922)",
            tags=("faces", "photos", "attributes", "masks"),
        )
    ]

"""Splits of datasets that list their pictures: rows of a table, shared out once and for all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, suggestion

SPLITS = ("train", "calibration", "test")
"""What every dataset calls its splits; the official "val" of a public dataset is `calibration`."""

SHARES = (0.6, 0.2, 0.2)
"""Of `SPLITS`, where a dataset has no official ones."""


Row = TypeVar("Row", contravariant=True)
Key = TypeVar("Key")


class Source(Protocol[Row]):
    """A dataset whose pictures are named by rows: numbers of a list, or (clip, frame)."""

    size: int
    device: torch.device

    def ids(self, rows: Sequence[Row]) -> tuple[str, ...]: ...

    def image(self, row: Row) -> Tensor:
        """`[3,size,size]`, 8-bit levels."""

    def facts(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """What else `Batch` says about these rows, on the CPU."""


class RowSplit(Generic[Key]):
    """One split: some rows of a source, in an order that never changes."""

    def __init__(self, source: Source[Key], name: str, rows: Sequence[Key]) -> None:
        self.source = source
        self.name = name
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, indices: Sequence[int]) -> list[Key]:
        """The source's rows behind these indices.

        Raises:
            DataError: no such index.
        """
        for i in indices:
            if not 0 <= i < len(self._rows):
                raise DataError(f"split {self.name!r} has {len(self._rows)} pictures, there is no index {i}")
        return [self._rows[i] for i in indices]

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """The pictures with these indices, read from disk now.

        Raises:
            DataError: no such index, or a file that is missing or damaged, named.
        """
        rows, source = self.rows(indices), self.source
        images = stacked([source.image(row) for row in rows], source.size)
        return Batch(images=images, ids=source.ids(rows), **source.facts(rows)).to(source.device)


def stacked(images: Sequence[Tensor], size: int) -> Tensor:
    """`[B,3,size,size]`, also of no picture at all."""
    return torch.stack(list(images)) if images else torch.empty(0, 3, size, size)


def check_split(name: str, dataset: str) -> str:
    """`name`, if it is a split.

    Raises:
        DataError: it is none, with a suggestion.
    """
    if name not in SPLITS:
        raise DataError(f"{dataset} has no split {name!r}{suggestion(name, SPLITS)}")
    return name


def by_hash(keys: Sequence[str]) -> dict[str, list[int]]:
    """Rows by split, each decided by a hash of its own key: adding a picture moves no other one."""
    rows: dict[str, list[int]] = {name: [] for name in SPLITS}
    for row, key in enumerate(keys):
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        at = int.from_bytes(digest[:8], "big") / 2**64
        rows[_share(at)].append(row)
    return rows


def by_folder(names: Sequence[str], root: Path) -> dict[str, list[int]]:
    """Rows by split of files whose relative paths begin with the split's name.

    Raises:
        DataError: a file that lies elsewhere.
    """
    rows: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, name in enumerate(names):
        first, _, rest = name.partition("/")
        if not rest or first not in rows:
            raise DataError(f"{root / name}: lies in none of the folders {', '.join(SPLITS)}")
        rows[first].append(row)
    return rows


def by_time(count: int) -> dict[str, list[int]]:
    """Rows by split for the frames of one clip: three stretches, one after the other."""
    first = round(count * SHARES[0])
    second = first + round(count * SHARES[1])
    return {
        "train": list(range(first)),
        "calibration": list(range(first, min(second, count))),
        "test": list(range(min(second, count), count)),
    }


def all_in(split: str, count: int) -> dict[str, list[int]]:
    """Every row in one split, none in the others."""
    return {name: list(range(count)) if name == split else [] for name in SPLITS}


def _share(at: float) -> str:
    return SPLITS[0] if at < SHARES[0] else SPLITS[1] if at < SHARES[0] + SHARES[1] else SPLITS[2]


def digest(*parts: bytes | str) -> str:
    """A short hash of everything that a fingerprint stands for."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:16]

"""The text tables of CelebA and its relatives, in the layouts in which they go around."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magdr_core.api import DataError

VALUES = {"-1": 0, "0": 0, "1": 1}


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """Attributes of many pictures.

    Attributes:
        path: the file.
        names: A attributes, in the file's order.
        files: N file names, in the file's order.
        values: `[N,A]` uint8, 0 or 1.
    """

    path: Path
    names: tuple[str, ...]
    files: tuple[str, ...]
    values: Tensor

    def of(self, rows: list[int]) -> dict[str, Tensor]:
        """`Batch.attributes` of these rows: name to `[B]` float32."""
        chosen = self.values[rows].float()
        return {name: chosen[:, i] for i, name in enumerate(self.names)}


def fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every line that is not blank.

    Fields are separated by commas if the first line has one, else by runs of blanks. A byte-order mark,
    blanks around fields and empty fields at the end of a line do not count.

    Raises:
        DataError: the file is missing, unreadable or no text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            commas: bool | None = None
            for number, line in enumerate(f, 1):
                if not line.strip():
                    continue
                if commas is None:
                    commas = "," in line
                yield number, _split(line, commas)
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a text file (UTF-8)") from None
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from None


def _split(line: str, commas: bool) -> list[str]:
    if not commas:
        return line.split()
    cells = [cell.strip() for cell in next(csv.reader([line.strip()], skipinitialspace=True))]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def read_attributes(path: Path) -> AttributeTable:
    """An attribute table: CelebA's `list_attr_celeba.txt` (a count, the names, then `file -1 1 ...`),
    CelebAMask-HQ's, or a csv with a header whose first column holds the file names.

    Raises:
        DataError: not such a table; the line says where.
    """
    lines = fields(path)
    number, header = next(lines, (0, []))
    declared = None
    if len(header) == 1 and header[0].isdigit():
        declared = int(header[0])
        number, header = next(lines, (number, []))
    if not header:
        raise DataError(f"{path}: is empty")
    names: tuple[str, ...] = ()
    files: list[str] = []
    values: list[bytes] = []
    for number, cells in lines:
        if not files:
            # The header of a csv has a name for the column of file names, CelebA's own has none.
            names = tuple(header[len(header) - len(cells) + 1 :])
            if len(cells) - 1 != len(names) or not names:
                raise DataError(f"{path}:{number}: {len(cells)} fields do not fit {len(header)} names")
        if len(cells) != len(names) + 1:
            raise DataError(f"{path}:{number}: {len(cells)} fields, expected {len(names) + 1}")
        try:
            values.append(bytes([VALUES[v] for v in cells[1:]]))
        except KeyError as e:
            raise DataError(f"{path}:{number}: {e.args[0]!r} is not one of -1, 0, 1") from None
        files.append(cells[0])
    if declared is not None and declared != len(files):
        raise DataError(f"{path}: declares {declared} pictures, lists {len(files)}; is it truncated?")
    _unique(files, path, "picture")
    _unique(names, path, "attribute")
    table = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(files), len(names))
    return AttributeTable(path, names, tuple(files), torch.from_numpy(table.copy()))


def _unique(names: tuple[str, ...] | list[str], path: Path, what: str) -> None:
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
        raise DataError(f"{path}: lists the {what} {twice!r} twice")


def read_numbers(path: Path) -> dict[str, int]:
    """File name to whole number: `list_eval_partition` or `identity_CelebA`, as text or csv.

    Raises:
        DataError: not such a table.
    """
    numbers: dict[str, int] = {}
    for i, (number, cells) in enumerate(fields(path)):
        if len(cells) == 2 and cells[1].lstrip("-").isdigit():
            numbers[cells[0]] = int(cells[1])
        elif i or len(cells) != 2:  # the first line of a csv is its header
            raise DataError(f"{path}:{number}: expected a file name and a number, got {' '.join(cells)!r}")
    return numbers


def read_mapping(path: Path) -> dict[int, int]:
    """CelebAMask-HQ's index -> CelebA's picture number, from 1 on (`CelebA-HQ-to-CelebA-mapping.txt`).

    `orig_file` is used where it is there: `orig_idx` counts from 0, so that comparing it with CelebA's
    limits, as the public script does, is off by one.

    Raises:
        DataError: not such a table.
    """
    mapping: dict[int, int] = {}
    columns = ["idx", "orig_idx", "orig_file"]
    for i, (number, cells) in enumerate(fields(path)):
        if not i and not cells[0].isdigit():
            columns = cells
            if "idx" not in columns or not {"orig_file", "orig_idx"} & set(columns):
                raise DataError(f"{path}:{number}: expected the columns idx orig_idx orig_file")
            continue
        row = dict(zip(columns, cells, strict=False))
        try:
            original = Path(row["orig_file"]).stem if "orig_file" in row else int(row["orig_idx"]) + 1
            mapping[int(row["idx"])] = int(original)
        except (KeyError, ValueError):
            raise DataError(f"{path}:{number}: {' '.join(cells)!r} is not idx orig_idx orig_file") from None
    return mapping

"""The text tables of CelebA and its relatives, in the layouts in which they go around."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magdr_core.api import DataError, text_lines

VALUES = {"-1": 0, "0": 0, "1": 1}

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_COUNT = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """Attributes of many pictures.

    Attributes:
        path: the video file.
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

    Fields are separated by semicolons or commas if the first line has one, else by runs of blanks. Where it
    is the semicolon, as spreadsheets write it where numbers have a decimal comma, `0,88` is 0.88. A
    byte-order mark, blanks around fields and empty fields at the end of a line do not count.

    Raises:
        DataError: the file is missing, unreadable, no text, a saved web page, or a quote is never closed.
    """
    separator: str | None = None
    for number, line in text_lines(path, error=DataError):
        if not line.strip():
            continue
        if separator is None:
            separator = next((mark for mark in (";", ",") if mark in line), "")
        try:
            yield number, _split(line, separator)
        except csv.Error as e:
            raise DataError(f"{path}:{number}: {e}") from None


def _split(line: str, separator: str) -> list[str]:
    if not separator:
        return line.split()
    reader = csv.reader([line.strip()], delimiter=separator, skipinitialspace=True, strict=True)
    cells = [cell.strip() for cell in next(reader)]
    if separator == ";":
        cells = [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]
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
    if len(header) == 1 and _COUNT.fullmatch(header[0]):
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
        _check_name(cells[0], f"{path}:{number}")
        files.append(cells[0])
    if not files:
        raise DataError(f"{path}: lists no picture, only {' '.join(header)[:60]!r}")
    if declared is not None and declared != len(files):
        raise DataError(f"{path}: declares {declared} pictures, lists {len(files)}; is it truncated?")
    _unique(files, path, "picture")
    _unique(names, path, "attribute")
    table = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(files), len(names))
    return AttributeTable(path, names, tuple(files), torch.from_numpy(table.copy()))


def _unique(names: Sequence[str], path: Path, what: str) -> None:
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
        raise DataError(f"{path}: lists the {what} {twice!r} twice")


def _check_name(file: str, where: str) -> None:
    """A list names pictures of its own dataset."""
    if file.startswith("/") or ".." in file.split("/"):
        raise DataError(f"{where}: {file[:60]!r} is not a picture inside the dataset's folder")


def check_ids(ids: Sequence[str], path: Path) -> None:
    """Raises DataError if two pictures of a list would have one id, as `1.jpg` and `1.png` have."""
    _unique(ids, path, "id")


def read_numbers(path: Path, allowed: Collection[int] | None = None) -> dict[str, int]:
    """File name to whole number: `list_eval_partition` or `identity_CelebA`, as text or csv.

    Args:
        allowed: the numbers that mean something; any if None.

    Raises:
        DataError: not such a table, another number, or a name that is listed twice.
    """
    numbers: dict[str, int] = {}
    for i, (number, cells) in enumerate(fields(path)):
        if len(cells) == 2 and _NUMBER.fullmatch(cells[1]):
            if cells[0] in numbers:
                raise DataError(f"{path}:{number}: lists {cells[0]!r} twice")
            numbers[cells[0]] = int(cells[1])
            if allowed is not None and numbers[cells[0]] not in allowed:
                known = ", ".join(map(str, allowed))
                raise DataError(f"{path}:{number}: {cells[1]} is not one of {known}")
        elif i or len(cells) != 2:  # the first line of a csv is its header
            shown = " ".join(cells)[:60]
            raise DataError(f"{path}:{number}: expected a file name and a number, got {shown!r}")
    if not numbers:
        raise DataError(f"{path}: lists no picture")
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
            index = int(row["idx"])
            twice = index in mapping
            mapping[index] = int(original)
        except (KeyError, ValueError):
            raise DataError(
                f"{path}:{number}: {' '.join(cells)[:60]!r} is not idx orig_idx orig_file"
            ) from None
        if twice:
            raise DataError(f"{path}:{number}: lists {index} twice")
    if not mapping:
        raise DataError(f"{path}: lists no picture")
    return mapping

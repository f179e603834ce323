"""results.csv: its columns, the order of its rows, and its text, written and read."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from magdr_core.errors import MagdrError
from magdr_core.results.cell import LARGEST
from magdr_core.results.variant import read_variant

Row = dict[str, Any]

OF_FACTS = (
    "task",
    "generator",
    "dataset",
    "attack",
    "eps",
    "steps",
    "knowledge",
    "role",
    "component",
    "seed",
    "channel",
)
"""Columns that say what a cell is about, as its facts call it."""

COLUMNS = (
    *("registry", "task", "generator", "dataset", "attack", "eps", "steps", "knowledge", "role"),
    *("component", "variant", "metric", "value", "ci_low", "ci_high", "n", "seed", "seconds"),
    "channel",
)
"""Of a row of results.csv; `channel` is empty where pictures reach the defender as they were published."""

EARLIER_COLUMNS = COLUMNS[:-1]
"""As a version before channels wrote them."""

_FLOATS = ("eps", "value", "ci_low", "ci_high", "seconds")
_INTEGERS = ("steps", "n", "seed")

_ORDER = (
    *("channel", "task", "generator", "dataset", "role", "attack", "eps", "steps", "seed", "knowledge"),
    *("component", "variant", "metric"),
)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows as the file has them."""
    return sorted(rows, key=lambda row: tuple(row.get(name, "") for name in _ORDER))


def to_csv(rows: Sequence[Row]) -> str:
    """results.csv: exactly `COLUMNS`, no interval as an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([csv_field(row.get(c, "")) for c in COLUMNS])
    return out.getvalue()


def csv_field(value: Any) -> Any:
    """A value as its field has it: floats with 9 significant digits, NaN as nothing."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value


def read_rows(path: Path) -> list[Row]:
    """The rows of one results.csv, NaN where a field is empty.

    Raises:
        MagdrError: there is none, or it is damaged.
    """
    try:
        return parse_csv(path.read_bytes())
    except OSError as e:
        raise MagdrError(f"{path}: cannot be read ({e.strerror})") from None
    except ValueError as e:
        raise MagdrError(f"{path}: damaged, {e}") from None


def parse_csv(content: bytes) -> list[Row]:
    """The rows of results.csv, NaN where a field is empty.

    Raises:
        ValueError: it is damaged; the message names line and field.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = []
    try:
        columns = tuple(next(reader, ()))
        if columns not in (COLUMNS, EARLIER_COLUMNS):
            raise ValueError("its columns are not those of results.csv")
        for fields in reader:
            try:
                rows.append(_row(fields, columns))
            except ValueError as e:
                raise ValueError(f"line {reader.line_num}: {e}") from None
    except csv.Error as e:
        raise ValueError(f"line {reader.line_num}: {e}") from None
    return rows


def _row(fields: list[str], columns: tuple[str, ...]) -> Row:
    if len(fields) != len(columns):
        raise ValueError(f"{len(fields)} fields, not {len(columns)}")
    row: Row = {**dict.fromkeys(COLUMNS, ""), **dict(zip(columns, fields, strict=True))}
    for name in COLUMNS:
        if name in _FLOATS:
            row[name] = _number(name, row[name])
        elif name in _INTEGERS:
            row[name] = _integer(name, row[name])
        elif len(row[name]) > 2000:
            raise ValueError(f"{name}: it is too long")
    if not row["knowledge"]:
        raise ValueError("knowledge: it is empty")
    if row["n"] < 1 or row["steps"] < 0 or not row["eps"] >= 0:
        raise ValueError("n, steps or eps: it is too small")
    row["variant"] = read_variant(row["variant"])
    return row


def _number(name: str, text: str) -> float:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        value = math.inf
    if abs(value) > LARGEST or (text and math.isnan(value)):
        raise ValueError(f"{name}: {text[:80]!r} is no figure")
    return value


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{name}: {text[:80]!r} is no whole number")
    return int(text)

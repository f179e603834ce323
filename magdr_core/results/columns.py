"""results.csv: its columns, the order of its rows, and its text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

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

_ORDER = (
    *("channel", "task", "generator", "dataset", "role", "attack", "eps", "steps", "seed", "knowledge"),
    *("component", "variant", "metric"),
)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows as the file has them."""
    return sorted(rows, key=lambda row: tuple(row.get(name, "") for name in _ORDER))


def to_csv(rows: Sequence[Row]) -> str:
    """results.csv: exactly `COLUMNS`, floats with 9 significant digits, no interval as an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_shown(row.get(c, "")) for c in COLUMNS])
    return out.getvalue()


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value

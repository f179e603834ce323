"""Reading a run folder. Whatever is missing or damaged ends in one clear line."""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from magdr_core.bench.pictures import FILE as PICTURES
from magdr_core.bench.pictures import load_pictures
from magdr_core.bench.tables import COLUMNS, Row
from magdr_core.errors import MagdrError

SCHEMA = 1
_FLOATS = ("eps", "value", "ci_low", "ci_high", "seconds")
_INTEGERS = ("steps", "n", "seed")
_FACTS = ("task", "attack", "role", "component")


@dataclass(frozen=True)
class RunData:
    """A run folder in memory."""

    folder: Path
    manifest: Mapping[str, Any]
    rows: Sequence[Row]
    cells: Sequence[Mapping[str, Any]]
    pictures: Mapping[tuple[str, ...], Tensor]
    checks: Mapping[str, Any] = field(default_factory=dict)
    """checks.json: the checked rows with their badges; empty where the run made no checks."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The profile."""
        return self.manifest["settings"]

    def listed(self, name: str) -> list[str]:
        """Labels in the profile's own order; empty where the profile leaves them out."""
        return [str(label) for label in self.settings.get(name) or ()]

    def uses(self, kind: str) -> dict[str, str]:
        """The component that each of the registry's labels of a kind stands for, whatever it is called."""
        tables = self._registry.get(kind)
        if not isinstance(tables, dict):
            return {}
        return {label: str(t.get("use", label)) for label, t in tables.items() if isinstance(t, dict)}

    @cached_property
    def _registry(self) -> Mapping[str, Any]:
        try:
            return tomllib.loads(str(self.manifest.get("registry_text", "")))
        except tomllib.TOMLDecodeError:
            return {}


def load_run(folder: Path) -> RunData:
    """Read a run folder.

    Raises:
        MagdrError: a file that the report needs is missing or damaged.
    """
    if not folder.is_dir():
        raise MagdrError(f"{folder}: no such run folder")
    return RunData(
        folder=folder,
        manifest=_manifest(folder / "manifest.json"),
        rows=_rows(folder / "results.csv"),
        cells=_cells(folder / "cells.json"),
        pictures=_pictures(folder),
        checks=_checks(folder / "checks.json"),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MagdrError(f"{path}: missing; is this the folder of a finished `magdr bench` run?") from None
    except (OSError, UnicodeDecodeError) as e:
        raise MagdrError(f"{path}: cannot be read ({type(e).__name__}); run the benchmark again") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as e:
        raise MagdrError(f"{path}: damaged, not JSON ({e}); run the benchmark again") from None


def _manifest(path: Path) -> Mapping[str, Any]:
    manifest = _json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("settings"), dict):
        raise MagdrError(f"{path}: damaged, not the manifest of a run; run the benchmark again")
    if manifest.get("schema") != SCHEMA:
        raise MagdrError(
            f"{path}: written in format {manifest.get('schema')!r}, this version reads {SCHEMA}; "
            "run the benchmark again"
        )
    return manifest


def _cells(path: Path) -> list[Mapping[str, Any]]:
    cells = _json(path)
    good = isinstance(cells, list) and all(
        isinstance(c, dict)
        and isinstance(c.get("facts"), dict)
        and all(k in c["facts"] for k in _FACTS)
        and isinstance(c.get("mse_o", {}), dict)
        and isinstance(c.get("worst", []), list)
        for c in cells
    )
    if not good:
        raise MagdrError(f"{path}: damaged, not the cells of a run; run the benchmark again")
    return cells


def _checks(path: Path) -> Mapping[str, Any]:
    """Empty for a run of a version without checks."""
    if not path.exists():
        return {}
    checks = _json(path)
    rows = checks.get("rows") if isinstance(checks, dict) else None
    needed = ("task", "role", "component", "badge", "why", "how", "checks")
    if not isinstance(rows, list) or not all(isinstance(r, dict) and set(needed) <= set(r) for r in rows):
        raise MagdrError(f"{path}: damaged, not the checks of a run; run the benchmark again")
    return checks


def _rows(path: Path) -> list[Row]:
    reader = csv.reader(_text(path).splitlines())
    if tuple(next(reader, ())) != COLUMNS:
        raise MagdrError(f"{path}: its columns are not those of results.csv; run the benchmark again")
    rows = []
    for fields in reader:
        try:
            rows.append(_row(fields))
        except ValueError:
            raise MagdrError(f"{path}, line {reader.line_num}: damaged; run the benchmark again") from None
    return rows


def _row(fields: list[str]) -> Row:
    row: Row = dict(zip(COLUMNS, fields, strict=True))
    for name in _FLOATS:
        row[name] = float(row[name]) if row[name] else math.nan
    for name in _INTEGERS:
        row[name] = int(row[name])
    return row


def _pictures(folder: Path) -> Mapping[tuple[str, ...], Tensor]:
    """A run without pictures is a complete run: its profile may ask for none."""
    try:
        pictures = load_pictures(folder)
    except (OSError, SafetensorError, ValueError) as e:
        raise MagdrError(f"{folder / PICTURES}: damaged ({e}); run the benchmark again") from None
    for name, images in pictures.items():
        if len(name) != 4 or images.ndim != 4 or images.shape[1] != 3 or str(images.dtype) != "torch.uint8":
            raise MagdrError(f"{folder / PICTURES}: damaged ({' | '.join(name)}); run the benchmark again")
    return pictures

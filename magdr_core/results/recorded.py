"""What a run folder holds, read through one model: whoever reads runs may rely on what it promises."""

from __future__ import annotations

import csv
import io
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from magdr_core.components.figure import Better, Figure
from magdr_core.errors import MagdrError
from magdr_core.files.disk import Unreadable
from magdr_core.files.strict_json import read_json
from magdr_core.measures.definitions import ROLES
from magdr_core.results.cell import LARGEST, CellResult, Count, Finite, Integer, Name, Strict, fitting
from magdr_core.results.checked import Badge, Verdict
from magdr_core.results.columns import COLUMNS, EARLIER_COLUMNS, Row
from magdr_core.results.pictures import unpack_pictures
from magdr_core.results.run_folder import (
    CELLS,
    CHECKS,
    EARLIER,
    MANIFEST,
    PICTURES,
    RESULTS,
    SCHEMA,
    VALUES,
    belongs,
    manifest_digest,
    read_file,
)
from magdr_core.results.values import CellValues, unpack_values
from magdr_core.results.variant import read_variant

AGAIN = "run the benchmark again"
_UNFINISHED = (
    "this run is not finished: it still goes on, or was stopped; the same `magdr bench` command continues it"
)

_CHANGED = "not the file that this run wrote, since its checksum is another"

_FLOATS = ("eps", "value", "ci_low", "ci_high", "seconds")
_INTEGERS = ("steps", "n", "seed")

PLANTED = "planted"
"""The role of checks.json's rows about planted weaknesses."""

Long = Annotated[str, Field(max_length=2**20)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
Eps = Annotated[float, Field(allow_inf_nan=False, ge=0, le=10**6)]
Labels = list[Name] | None


class _Threshold(Strict):
    absolute: Count
    relative: Count = 0.0


class _Figure(Strict):
    """A figure that rows may have."""

    name: Name
    role: Name
    unit: Name = ""
    better: Better
    digits: Annotated[int, Field(ge=0, le=9)]
    threshold: _Threshold
    needs: list[Name]
    statistic: Name
    summary: Name = ""


class _Settings(Strict):
    """A profile as it was run."""

    generators: Labels = None
    attacks: Labels = None
    detectors: Labels = None
    defenses: Labels = None
    note: Long | None = None


class _Manifest(Strict):
    """manifest.json"""

    schema_: Integer = Field(alias="schema")
    registry: Name
    profile: Name
    settings: _Settings
    registry_file: Name = ""
    registry_text: Annotated[str, Field(max_length=2**24)] = ""
    adaptive_suite: Name | None = None
    figures: list[_Figure] = Field(default_factory=list)
    device: Name = ""
    engine: Name = ""
    threads: Integer = 0
    versions: dict[Name, Name] = Field(default_factory=dict)
    commit: Name | None = None
    started: Name = ""


class _Finished(_Manifest):
    """manifest.json of this version."""

    run: Name
    finished: bool
    files: dict[Name, Name]
    sha256: Name


class _Facts(Strict):
    """:class:`~magdr_core.results.cell.Facts`"""

    task: Name
    generator: Name
    dataset: Name
    attack: Name
    slice_role: Name
    eps: Eps
    steps: Steps
    knowledge: Annotated[Name, Field(min_length=1)]
    role: Name
    component: Name
    seed: Integer
    noise: bool
    columns: dict[Name, Any] | None = None
    variant: Name | None = None
    data: Name | None = None
    baseline: bool = False
    seen_by_oracle: bool = False
    channel: Name = ""


class _Threat(Strict):
    """A threat card; only what is worked with has a type."""

    eps: Finite | Name | None = None
    step_size: Finite | Name | None = None


class _Brief(Strict):
    """A cell in brief."""

    facts: _Facts
    key: Name = ""
    error: Long | None = None
    forwards: Count | None = None
    seconds: Count | None = None
    thresholds: dict[Name, Finite] = Field(default_factory=dict)
    threat: _Threat | None = None
    worst: list[Name] = Field(default_factory=list)
    mse_o: dict[Name, Count] | None = None


class _Cells(Strict):
    """cells.json"""

    cells: list[_Brief]


class _Check(Strict):
    """A sanity check of a row."""

    name: Name
    verdict: Verdict
    said: Long
    evidence: dict[str, Any] | None = None


class _CheckedRow(Strict):
    """A row of checks.json."""

    task: Name
    role: Name
    component: Name
    badge: Badge
    why: Long
    how: dict[str, Any]
    checks: list[_Check]


class _Effort(Strict):
    """How much was checked."""

    faces: Integer
    steps: Integer


class _Checks(Strict):
    """checks.json"""

    rows: list[_CheckedRow]
    settings: _Effort | None = None


class RecordedRun:
    """A run folder. Its files are read when they are asked for, each once.

    Attributes:
        manifest: as it is in the file.
        notes: what a reader of the run should know, one line each.

    Raises:
        MagdrError: there is no such run, it is not finished, or its manifest is damaged. So does every
            method, for the file that it reads; the message names the file and the field.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise MagdrError(f"{folder}: there is no such run folder")
        self.folder = folder
        self.manifest: Mapping[str, Any] = self._manifest()
        self._found: dict[str, Any] = {}
        self.notes: list[str] = []
        if self.manifest["schema"] == EARLIER:
            self.notes.append(
                f"{folder}: a run of a version before 0.2, whose files have no checksums: that they are of "
                "one run cannot be verified"
            )

    def check(self) -> None:
        """Read every file that is there: what is wrong anywhere is known before anything is shown."""
        for name in _PARSERS:
            self._optional(name)

    def figures(self) -> list[Figure]:
        """The figures that the run's manifest lists; none of a run of a version that listed none."""
        return [Figure.from_json(data) for data in self.manifest.get("figures") or ()]

    def cells(self) -> list[CellResult]:
        """cells.json, in brief: values per sample are in `values`."""
        found: list[CellResult] = self._read(CELLS)
        return found

    def checks(self) -> Mapping[str, Any]:
        """checks.json; empty for a run of a version without checks."""
        found: Mapping[str, Any] = self._optional(CHECKS) or {}
        return found

    def rows(self) -> list[Row]:
        """results.csv, NaN where a field is empty."""
        found: list[Row] = self._read(RESULTS)
        return found

    def values(self) -> dict[str, CellValues]:
        """Per-sample values by the cells' keys; empty for a run of a version without them."""
        found: dict[str, CellValues] = self._optional(VALUES) or {}
        return found

    def pictures(self) -> Mapping[tuple[str, ...], Tensor]:
        """uint8 `[P,3,H,W]` by (task, attack, component, side); a profile may ask for none."""
        found: Mapping[tuple[str, ...], Tensor] = self._optional(PICTURES) or {}
        return found

    def _manifest(self) -> Mapping[str, Any]:
        path = self.folder / MANIFEST
        content = self._content(MANIFEST)
        if content is None:
            raise MagdrError(f"{path}: missing; is this the folder of a finished `magdr bench` run?")
        try:
            data = read_json(content)
        except ValueError as e:
            raise MagdrError(f"{path}: damaged, {e}; {AGAIN}") from None
        schema = data.get("schema") if isinstance(data, dict) else None
        if isinstance(schema, int) and schema not in (EARLIER, SCHEMA):
            raise MagdrError(
                f"{path}: written in format {schema}, this version reads {EARLIER} and {SCHEMA}; {AGAIN}"
            )
        try:
            fitting(_Finished if schema == SCHEMA else _Manifest, data)
            _registry(data.get("registry_text", ""))
        except ValueError as e:
            raise MagdrError(f"{path}: not the manifest of a run: {e}; {AGAIN}") from None
        if schema == SCHEMA and data["sha256"] != manifest_digest(data):
            raise MagdrError(f"{path}: {_CHANGED}; {AGAIN}")
        if schema == SCHEMA and not data["finished"]:
            raise MagdrError(f"{path}: {_UNFINISHED}")
        manifest: Mapping[str, Any] = data
        return manifest

    def _content(self, name: str) -> bytes | None:
        content = read_file(self.folder, name)
        if isinstance(content, Unreadable):
            raise MagdrError(f"{self.folder / name}: {content.why}; {AGAIN}")
        return content

    def _read(self, name: str) -> Any:
        found = self._optional(name)
        if found is None:
            raise MagdrError(
                f"{self.folder / name}: missing; is this the folder of a finished `magdr bench` run?"
            )
        return found

    def _optional(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = self._parsed(name)
        return self._found[name]

    def _check_roles(self, name: str, found: Any) -> None:
        """Raises ValueError for a role that is none of core's and none of the manifest's."""
        roles = list(dict.fromkeys([*ROLES, *(figure.role for figure in self.figures())]))
        asked = [*roles, PLANTED] if name == CHECKS else roles
        for place, role in _ROLES_IN[name](found):
            if role not in asked:
                raise ValueError(f"{place}: it is none of {', '.join(asked)}")

    def _parsed(self, name: str) -> Any:
        path, content = self.folder / name, self._content(name)
        try:
            found = None if content is None else _PARSERS[name](content)
            if found is not None and name in _ROLES_IN:
                self._check_roles(name, found)
        except ValueError as e:
            raise MagdrError(f"{path}: damaged, {e}; {AGAIN}") from None
        if not belongs(self.manifest, name, content):
            raise MagdrError(f"{path}: {'missing' if content is None else _CHANGED}; {AGAIN}")
        return found


def _registry(text: str) -> None:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("registry_text: it is not TOML") from None


def _cells(content: bytes) -> list[CellResult]:
    data = read_json(content)
    try:
        model = fitting(_Cells, {"cells": data})
    except ValueError as e:
        raise ValueError(f"not the cells of a run: {str(e).removeprefix('cells')}") from None
    for index, cell in enumerate(model.cells):
        if "error" in cell.model_fields_set:
            if cell.error is None:
                raise ValueError(f"not the cells of a run: [{index}].error: it is empty")
        elif not cell.key:
            raise ValueError(f"not the cells of a run: [{index}].key: it is missing")
    return [CellResult.from_json(cell) for cell in data]


def _checks(content: bytes) -> Mapping[str, Any]:
    data = read_json(content)
    try:
        fitting(_Checks, data)
    except ValueError as e:
        raise ValueError(f"not the checks of a run: {e}") from None
    found: Mapping[str, Any] = data
    return found


def read_rows(path: Path) -> list[Row]:
    """The rows of one results.csv, NaN where a field is empty.

    Raises:
        MagdrError: there is none, or it is damaged.
    """
    try:
        return _rows(path.read_bytes())
    except OSError as e:
        raise MagdrError(f"{path}: cannot be read ({e.strerror})") from None
    except ValueError as e:
        raise MagdrError(f"{path}: damaged, {e}") from None


# -- results.csv ----------------------------------------------------------------------------------------


def _rows(content: bytes) -> list[Row]:
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


_PARSERS: dict[str, Callable[[bytes], Any]] = {
    CELLS: _cells,
    RESULTS: _rows,
    CHECKS: _checks,
    VALUES: unpack_values,
    PICTURES: unpack_pictures,
}

_ROLES_IN: dict[str, Callable[[Any], Iterable[tuple[str, str]]]] = {
    CELLS: lambda cells: (
        (f"not the cells of a run: [{i}].facts.role", cell.facts.role) for i, cell in enumerate(cells)
    ),
    RESULTS: lambda rows: ((f"line {i}: role", row["role"]) for i, row in enumerate(rows, 2)),
    CHECKS: lambda checks: (
        (f"not the checks of a run: rows[{i}].role", row["role"]) for i, row in enumerate(checks["rows"])
    ),
}
"""Where a file says roles: places in words, and the roles."""

"""What a run folder holds, read through one model: whoever reads runs may rely on what it promises."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from magdr_core.components.figure import Figure
from magdr_core.errors import MagdrError
from magdr_core.files.disk import Unreadable
from magdr_core.files.strict_json import read_json
from magdr_core.measures.definitions import ROLES
from magdr_core.results.cell import CellResult, fitting
from magdr_core.results.columns import Row, parse_csv
from magdr_core.results.file_models import CellsFile, ChecksFile, FinishedManifestFile, ManifestFile
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

AGAIN = "run the benchmark again"
_UNFINISHED = (
    "this run is not finished: it still goes on, or was stopped; the same `magdr bench` command continues it"
)

_CHANGED = "not the file that this run wrote, since its checksum is another"

PLANTED = "planted"
"""The role of checks.json's rows about planted weaknesses."""


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
            fitting(FinishedManifestFile if schema == SCHEMA else ManifestFile, data)
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
        model = fitting(CellsFile, {"cells": data})
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
        fitting(ChecksFile, data)
    except ValueError as e:
        raise ValueError(f"not the checks of a run: {e}") from None
    found: Mapping[str, Any] = data
    return found


_PARSERS: dict[str, Callable[[bytes], Any]] = {
    CELLS: _cells,
    RESULTS: parse_csv,
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

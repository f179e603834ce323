"""Reading two run folders for a comparison. Whatever is missing or damaged ends in one clear line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from magdr_core.bench.values import FILE, CellValues, load_values
from magdr_core.errors import MagdrError
from magdr_core.store import Store

SCHEMA = 1
_FACTS = (
    *("task", "generator", "dataset", "attack", "slice_role", "eps", "steps", "knowledge", "role"),
    *("component", "seed", "noise"),
)


@dataclass(frozen=True, eq=False)
class ComparedCell:
    """One cell of a run with what it measured on every sample."""

    key: str
    facts: Mapping[str, Any]
    values: CellValues
    forwards: float | None = None


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run folder in memory.

    Attributes:
        failures: facts of the cells that failed, with the `error`.
    """

    folder: Path
    manifest: Mapping[str, Any]
    cells: Sequence[ComparedCell]
    failures: Sequence[Mapping[str, Any]]

    @cached_property
    def registry(self) -> Mapping[str, Any]:
        """The registry's tables."""
        try:
            return tomllib.loads(str(self.manifest["registry_text"]))
        except tomllib.TOMLDecodeError:
            raise MagdrError(f"{self.folder / 'manifest.json'}: damaged, its registry is not TOML") from None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The profile as it was run."""
        settings: Mapping[str, Any] = self.manifest["settings"]
        return settings


def load_compared(folder: Path, cache: Path) -> ComparedRun:
    """Read a run folder.

    Args:
        cache: the store that the run used; it is looked into only for runs whose folder has no per-sample
            values, as those of earlier versions have none.

    Raises:
        MagdrError: this is no finished run, or a file is damaged, or values are neither here nor there.
    """
    if not folder.is_dir():
        raise MagdrError(f"{folder}: there is no such run folder")
    manifest = _manifest(folder / "manifest.json")
    briefs = _briefs(folder / "cells.json")
    good = [b for b in briefs if "error" not in b]
    values = _values(folder, good, cache)
    return ComparedRun(
        folder,
        manifest,
        [ComparedCell(b["key"], b["facts"], values[b["key"]], b.get("forwards")) for b in good],
        [{**b["facts"], "error": str(b["error"])} for b in briefs if "error" in b],
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MagdrError(f"{path}: missing; is this the folder of a finished `magdr bench` run?") from None
    except OSError as e:
        raise MagdrError(f"{path}: cannot be read ({type(e).__name__})") from None
    except ValueError:
        raise MagdrError(f"{path}: damaged, not JSON; run the benchmark again") from None


def _manifest(path: Path) -> Mapping[str, Any]:
    manifest = _json(path)
    texts = ("registry", "registry_text", "profile")
    good = (
        isinstance(manifest, dict)
        and isinstance(manifest.get("settings"), dict)
        and all(isinstance(manifest.get(name), str) for name in texts)
    )
    if not good:
        raise MagdrError(f"{path}: not the manifest of a benchmark run")
    if manifest.get("schema") != SCHEMA:
        raise MagdrError(
            f"{path}: written in format {manifest.get('schema')!r}, this version reads {SCHEMA}; "
            "run the benchmark again"
        )
    found: Mapping[str, Any] = manifest
    return found


def _briefs(path: Path) -> list[Mapping[str, Any]]:
    cells = _json(path)
    good = isinstance(cells, list) and all(
        isinstance(c, dict)
        and isinstance(c.get("facts"), dict)
        and all(name in c["facts"] for name in _FACTS)
        and ("error" in c or isinstance(c.get("key"), str))
        for c in cells
    )
    if not good:
        raise MagdrError(f"{path}: damaged, not the cells of a run; run the benchmark again")
    found: list[Mapping[str, Any]] = cells
    return found


def _values(folder: Path, cells: Sequence[Mapping[str, Any]], cache: Path) -> Mapping[str, CellValues]:
    """Per-sample values by key: the folder's own, else the store's."""
    damaged = (OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError)
    try:
        values = load_values(folder)
    except damaged as e:
        raise MagdrError(f"{folder / FILE}: damaged ({e}); run the benchmark again") from None
    store = Store(cache)
    missing = dict.fromkeys(c["key"] for c in cells if c["key"] not in values)
    for key in list(missing):
        stored = store.json("cells", key)
        if stored is not None:
            try:
                values[key] = CellValues.of(stored)
            except damaged:
                continue
            del missing[key]
    if missing:
        raise MagdrError(
            f"{folder}: no per-sample values of {len(missing)} of its {len(cells)} cells. They are in "
            f"{FILE}, which runs of earlier versions lack, or in the cache of the run, which {str(cache)!r} "
            "is not: name it with --cache, or run the benchmark again"
        )
    return values

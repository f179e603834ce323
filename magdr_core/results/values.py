"""The per-sample values of a run, in one file of its folder: what paired comparisons of runs need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from magdr_core.files.strict_json import read_json
from magdr_core.measures.statistics import Array
from magdr_core.results.cell import LARGEST, CellResult, Finite, Integer, Name, Strict, as_cells, fitting

SCHEMA = 1
_HEAD = "magdr"


@dataclass(frozen=True, eq=False)
class CellValues:
    """What one cell measured on every sample.

    Attributes:
        ids: stable names of the samples, n.
        identities: `[n]`, whose pictures they are; intervals are over these.
        values: float64 `[n]` by name, a variant's as `variant/name`.
        thresholds, fpr: a detector's; empty and None otherwise.
    """

    ids: tuple[str, ...]
    identities: Array
    values: Mapping[str, Array]
    thresholds: Mapping[str, float]
    fpr: float | None

    @classmethod
    def of(cls, cell: CellResult) -> CellValues:
        """Of a whole cell, as the store has it."""
        values = {name: np.asarray(v, dtype=np.float64) for name, v in cell.values.items()}
        return cls(tuple(cell.ids), cell.of_identities, values, dict(cell.thresholds), cell.fpr)

    def onto(self, cell: CellResult) -> CellResult:
        """A cell in brief with these values."""
        return replace(
            cell,
            ids=self.ids,
            identities=self.identities,
            values=self.values,
            thresholds=self.thresholds,
            fpr=self.fpr,
        )


def pack_values(cells: Iterable[CellResult | Mapping[str, Any]]) -> bytes:
    """The file of the values of all cells that did not fail, by the cells' keys.

    One matrix per cell, in 32 bits where those hold every value exactly; names, samples and thresholds are
    in the header, samples once for all the cells that share them.
    """
    tensors: dict[str, Array] = {}
    samples: list[Any] = []
    head: dict[str, Any] = {}
    for cell in as_cells(cells):
        if cell.failed:
            continue
        own = [list(cell.ids), cell.of_identities.tolist()]
        if own not in samples:
            samples.append(own)
        names = sorted(cell.values)
        matrix = np.array([cell.values[name] for name in names], dtype=np.float64)
        with np.errstate(over="ignore"):  # what 32 bits do not hold is kept in 64
            single = matrix.astype(np.float32)
        tensors[cell.key] = single if np.array_equal(single, matrix) else matrix
        head[cell.key] = {"names": names, "samples": samples.index(own)}
        if cell.thresholds:
            head[cell.key]["thresholds"] = dict(cell.thresholds)
        if cell.fpr is not None:
            head[cell.key]["fpr"] = cell.fpr
    text = json.dumps({"schema": SCHEMA, "samples": samples, "cells": head}, sort_keys=True)
    return save(tensors, {_HEAD: text})


def unpack_values(content: bytes) -> dict[str, CellValues]:
    """Values by the cells' keys.

    Raises:
        ValueError: the content is damaged, or holds something else; the message names the cell and the field.
    """
    try:
        tensors = load(content)
        told = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        head = read_json(told.get("__metadata__", {}).get(_HEAD, "null"))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ValueError(f"is damaged ({type(e).__name__})") from None
    if isinstance(head, dict) and head.get("schema") != SCHEMA:
        raise ValueError(f"is written in format {head.get('schema')!r}, this version reads {SCHEMA}")
    model = fitting(_Head, head)
    for index, (ids, identities) in enumerate(model.samples):
        _alike(f"samples[{index}]", ids, identities)
    found = {}
    for key, cell in model.cells.items():
        found[key] = _values_of(key, cell, model.samples, tensors)
    return found


class _HeadCell(Strict):
    names: Annotated[list[Name], Field(min_length=1)]
    samples: Annotated[int, Field(ge=0)]
    thresholds: dict[str, Finite] = Field(default_factory=dict)
    fpr: Annotated[float, Field(ge=0, le=1)] | None = None


_Samples = Annotated[tuple[list[Name], list[Integer] | list[Name]], Field(strict=False)]
"""Ids and identities; JSON has lists for tuples."""


class _Head(Strict):
    schema_: int = Field(alias="schema")
    samples: list[_Samples]
    cells: dict[str, _HeadCell]


def _alike(where: str, ids: Sequence[Any], identities: Sequence[Any]) -> None:
    if not ids or len(ids) != len(identities):
        raise ValueError(f"{where}: {len(ids)} ids, {len(identities)} identities")
    if len(set(ids)) != len(ids):
        raise ValueError(f"{where}: an id is there twice")


def _values_of(key: str, cell: _HeadCell, samples: Sequence[Any], tensors: Mapping[str, Array]) -> CellValues:
    where = f"cells.{key[:80]}"
    if cell.samples >= len(samples):
        raise ValueError(f"{where}.samples: there are no samples {cell.samples}")
    if len(set(cell.names)) != len(cell.names):
        raise ValueError(f"{where}.names: one is there twice")
    ids, identities = samples[cell.samples]
    matrix = tensors.get(key)
    if matrix is None or matrix.dtype not in (np.float32, np.float64):
        raise ValueError(f"{where}: has no values")
    if matrix.shape != (len(cell.names), len(ids)):
        wanted = [len(cell.names), len(ids)]
        raise ValueError(f"{where}: has values of shape {list(matrix.shape)}, not {wanted}")
    if not bool((np.abs(matrix) <= LARGEST).all()):
        raise ValueError(f"{where}: has values that are no figures")
    values = dict(zip(cell.names, matrix.astype(np.float64), strict=True))
    return CellValues(tuple(ids), np.asarray(identities), values, dict(cell.thresholds), cell.fpr)

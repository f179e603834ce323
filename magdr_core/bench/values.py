"""The per-sample values of a run, in one file of its folder: what paired comparisons of runs need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from magdr_core.bench.statistics import Array
from magdr_core.store import write_atomically

FILE = "values.safetensors"
SCHEMA = 1
_HEAD = "magdr"


@dataclass(frozen=True, eq=False)
class CellValues:
    """What one cell measured on every sample.

    Attributes:
        ids: stable names of the samples, n.
        identities: `[n]`, whose pictures they are; bootstraps resample these.
        values: float64 `[n]` by name, a variant's as `variant/name`.
        thresholds, fpr: a detector's; empty and NaN otherwise.
    """

    ids: tuple[str, ...]
    identities: Array
    values: Mapping[str, Array]
    thresholds: Mapping[str, float]
    fpr: float

    @classmethod
    def of(cls, cell: Mapping[str, Any]) -> CellValues:
        """From a cell's data, as the store has it."""
        return cls(
            ids=tuple(cell["ids"]),
            identities=np.asarray(cell["identities"]),
            values={name: np.asarray(v, dtype=np.float64) for name, v in cell["values"].items()},
            thresholds=dict(cell.get("thresholds", {})),
            fpr=float(cell.get("fpr", "nan")),
        )


def save_values(run: Path, cells: Sequence[Mapping[str, Any]]) -> None:
    """Write the values of all cells that did not fail, by the cells' keys.

    One matrix per cell, in 32 bits where those hold every value exactly; names, samples and thresholds are
    in the header, samples once for all the cells that share them.
    """
    tensors: dict[str, Array] = {}
    samples: list[Any] = []
    head: dict[str, Any] = {}
    for cell in cells:
        if "error" in cell:
            continue
        own = [list(cell["ids"]), np.asarray(cell["identities"]).tolist()]
        if own not in samples:
            samples.append(own)
        names = sorted(cell["values"])
        matrix = np.array([cell["values"][name] for name in names], dtype=np.float64)
        single = matrix.astype(np.float32)
        tensors[cell["key"]] = single if np.array_equal(single, matrix) else matrix
        head[cell["key"]] = {"names": names, "samples": samples.index(own)} | {
            name: cell[name] for name in ("thresholds", "fpr") if name in cell
        }
    text = json.dumps({"schema": SCHEMA, "samples": samples, "cells": head}, sort_keys=True)
    write_atomically(run / FILE, lambda p: save_file(tensors, str(p), {_HEAD: text}))


def load_values(run: Path) -> dict[str, CellValues]:
    """Values by the cells' keys; empty if the run has no such file.

    Raises:
        OSError, SafetensorError, ValueError, KeyError, TypeError: the file is damaged.
    """
    path = run / FILE
    if not path.is_file():
        return {}
    with safe_open(str(path), "numpy") as file:
        head = json.loads((file.metadata() or {})[_HEAD])
        if head["schema"] != SCHEMA:
            raise ValueError(f"written in format {head['schema']!r}, this version reads {SCHEMA}")
        found = {}
        for key, told in head["cells"].items():
            ids, identities = head["samples"][told["samples"]]
            rows = zip(told["names"], file.get_tensor(key), strict=True)
            found[key] = CellValues.of(
                {**told, "ids": ids, "identities": identities, "values": dict(rows)},
            )
    return found

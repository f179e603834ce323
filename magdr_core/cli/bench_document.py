"""`magdr bench --json`: what a run left behind, as one document for programs."""

from __future__ import annotations

import math
from typing import Any

from magdr_core.bench.run import Bench, RunResult
from magdr_core.cli.document import as_text
from magdr_core.results.cell import Facts
from magdr_core.results.columns import COLUMNS

SCHEMA = 1

PLACE = ("task", "attack", "role", "component", "seed")
"""What tells a cell from others, of its facts."""


def run_document(bench: Bench, result: RunResult) -> dict[str, Any]:
    """One run: its folder, its manifest but for the registry's text, what became of cells, rows and checks.

    A shard writes no folder, so it has neither folder nor report nor rows.
    """
    whole = bench.shard is None
    folder = as_text(str(result.folder))
    manifest = {key: value for key, value in result.manifest.items() if key != "registry_text"}
    return {
        "folder": folder if whole else None,
        "report": f"{folder}/report.html" if whole else None,
        "manifest": manifest,
        "cells": {
            "computed": result.computed,
            "kept": result.reused,
            "failed": len(result.failures),
            "errors": [_place(cell.facts) | {"error": cell.error} for cell in result.failures],
        },
        "rows": [{column: _as_in_csv(row[column]) for column in COLUMNS} for row in result.rows],
        "checks": [
            {key: row[key] for key in ("task", "role", "component", "badge", "why")}
            | {"failed": [check["name"] for check in row["checks"] if check["verdict"] == "fail"]}
            for row in result.checks
        ],
        "observers_failed": result.observers_failed,
    }


def _place(facts: Facts) -> dict[str, Any]:
    return {key: getattr(facts, key) for key in PLACE}


def _as_in_csv(value: Any) -> Any:
    """A figure with the digits that results.csv has; null where that has nothing, text for an infinity."""
    if not isinstance(value, float):
        return None if value == "" else value
    if math.isnan(value):
        return None
    return float(f"{value:.9g}") if math.isfinite(value) else f"{value:.9g}"

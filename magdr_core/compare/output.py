"""A comparison as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

from magdr_core.compare.align import Place
from magdr_core.compare.config_diff import told_apart
from magdr_core.compare.load import ComparedRun
from magdr_core.compare.result import LEVEL, Compared, Comparison
from magdr_core.results.cell import CellResult

SCHEMA = 1
COLUMNS = (
    *("task", "generator", "dataset", "attack", "eps", "steps", "knowledge", "role", "component"),
    *("variant", "metric", "a", "b", "difference", "ci_low", "ci_high", "p", "p_holm", "n", "seed"),
    *("threshold", "verdict", "channel"),
)


def to_json(comparison: Comparison) -> str:
    """Everything, for programs."""
    matching = comparison.matching
    document = {
        "schema": SCHEMA,
        "a": _run(comparison.a),
        "b": _run(comparison.b),
        "rule": {
            "metrics": [str(metric) for metric in comparison.rule.metrics],
            "correction": comparison.rule.correction,
            "by": comparison.rule.by,
            "level": LEVEL,
            "comparisons_tested": comparison.tested,
            "identities_needed": comparison.too_few,
        },
        "found_worse": comparison.found_worse,
        "differ": told_apart(matching.pairs, comparison.changes) if comparison.rule.by == "label" else [],
        "changes": [vars(change) for change in comparison.changes],
        "comparisons": [_full(row) for row in comparison.rows],
        "new_failures": [_failure(c) for c in comparison.new_failures],
        "fixed": [_failure(c) for c in comparison.fixed],
        "other_failures": [_failure(c) for c in comparison.other_failures],
        "only_a": [place._asdict() for place in matching.only_a],
        "only_b": [place._asdict() for place in matching.only_b],
        "other_images": [place._asdict() for place in matching.other_images],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def to_csv(comparison: Comparison) -> str:
    """One line per compared figure with exactly `COLUMNS`, floats with 9 significant digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in comparison.rows:
        record = _record(row)
        writer.writerow([_shown(record[name]) for name in COLUMNS])
    return out.getvalue()


def _run(run: ComparedRun) -> dict[str, Any]:
    manifest = run.manifest
    told = {
        name: manifest.get(name)
        for name in ("registry", "profile", "device", "commit", "started", "versions")
    }
    return {"folder": str(run.folder), **told, "cells": len(run.cells), "failed": len(run.failures)}


def _record(row: Compared) -> dict[str, Any]:
    place = row.place._asdict()
    del place["slice_role"]
    return {
        **place,
        "generator": row.generator,
        "dataset": row.dataset,
        "variant": row.variant,
        "metric": row.metric,
        "a": row.a,
        "b": row.b,
        "difference": row.difference,
        "ci_low": row.low,
        "ci_high": row.high,
        "p": row.p,
        "p_holm": row.p_adjusted,
        "n": row.n,
        "threshold": row.size,
        "verdict": row.verdict,
    }


def _full(row: Compared) -> dict[str, Any]:
    record = {name: _finite(value) for name, value in _record(row).items()}
    return record | {
        "slice_role": row.place.slice_role,
        "better": "higher" if row.higher_is_better else "lower",
        "identities": row.identities,
        "corrected": row.corrected,
        "n_a": row.n_a,
        "n_b": row.n_b,
        "causes": list(row.causes),
        "worst": [{"id": name, "a": a, "b": b} for name, a, b in row.worst],
        "forwards_a": row.forwards_a,
        "forwards_b": row.forwards_b,
    }


def _failure(cell: CellResult) -> dict[str, Any]:
    return {**Place.of(cell.facts)._asdict(), "error": cell.error}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.9g}" if isinstance(value, float) else value

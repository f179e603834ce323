"""From cells to the rows of results.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from magdr_core.bench.statistics import Array, auroc, bootstrap, decisions, tpr_at_fpr
from magdr_core.identity import digest

COLUMNS = (
    *("registry", "task", "generator", "dataset", "attack", "eps", "steps", "knowledge", "role"),
    *("component", "variant", "metric", "value", "ci_low", "ci_high", "n", "seed", "seconds"),
)

Row = dict[str, Any]
CellData = Mapping[str, Any]


def result_rows(registry: str, cells: Sequence[CellData]) -> list[Row]:
    """Every figure of a run, sorted; failed cells have none."""
    rows: list[Row] = []
    good = [c for c in cells if "error" not in c]
    for cell in good:
        role, facts = cell["facts"]["role"], cell["facts"]
        if role == "attack":
            rows += _mean_rows(registry, cell, ("mse_o", "success"), medians=("mse_o",))
        elif role == "defense":
            rows += _defense_rows(registry, cell)
            rows += _paired_rows(registry, cell, good)
        elif facts["slice_role"] in ("clean", "attack", "benign"):
            rows += _detector_rows(registry, cell, _siblings(cell, good))
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    return tuple(
        row[c]
        for c in (
            "task",
            "generator",
            "dataset",
            "role",
            "attack",
            "eps",
            "steps",
            "seed",
            "knowledge",
            "component",
            "variant",
            "metric",
        )
    )


def _row(
    registry: str, cell: CellData, metric: str, figures: tuple[float, float, float], variant: str = ""
) -> Row:
    facts = cell["facts"]
    shown = {k: facts[k] for k in ("task", "generator", "dataset", "attack", "eps", "steps", "knowledge")}
    if facts["slice_role"] == "benign":
        shown |= {"attack": "none", "eps": 0.0, "steps": 0}
    value, low, high = figures
    return {
        "registry": registry,
        **shown,
        "role": facts["role"],
        "component": facts["component"],
        "variant": variant,
        "metric": metric,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n": len(cell["ids"]),
        "seed": facts["seed"],
        "seconds": cell["seconds"],
    }


def _figures(cell: CellData, metric: str, statistic: Callable[[Array], float]) -> tuple[float, float, float]:
    """Value and interval; the bootstrap is seeded from the cell, so that a resumed run gives the same."""
    seed = int(digest([cell["key"], metric]), 16)
    return bootstrap(statistic, np.asarray(cell["identities"]), seed)


def _mean_rows(
    registry: str, cell: CellData, metrics: Iterable[str], medians: Iterable[str], variant: str = ""
) -> Iterator[Row]:
    """Means and medians of per-sample values; those of a variant are kept as `variant/metric`."""
    key = f"{variant}/" if variant else ""
    for metric in metrics:
        mean = _of_values(cell["values"][key + metric], np.mean)
        yield _row(registry, cell, metric, _figures(cell, metric, mean), variant)
    for metric in medians:
        median, name = _of_values(cell["values"][key + metric], np.median), f"median_{metric}"
        yield _row(registry, cell, name, _figures(cell, name, median), variant)


def _of_values(values: Sequence[float] | Array, reduce: Callable[[Array], Any]) -> Callable[[Array], float]:
    """A statistic of some rows of per-sample values."""
    array = np.asarray(values)
    return lambda rows: float(reduce(array[rows]))


def _share_above(scores: Array, threshold: float) -> Callable[[Array], float]:
    return lambda rows: float((scores[rows] > threshold).mean())


def _decision(clean: Array, scores: Array, threshold: float, metric: str) -> Callable[[Array], float]:
    return lambda rows: decisions(clean[rows], scores[rows], threshold)[metric]


def _defense_rows(registry: str, cell: CellData) -> Iterator[Row]:
    variants: dict[str, list[str]] = {}
    for name in sorted(cell["values"]):
        variant, _, metric = name.rpartition("/")
        variants.setdefault(variant, []).append(metric)
    for variant, metrics in variants.items():
        yield from _mean_rows(registry, cell, metrics, metrics, variant)
    for side in ("i", "o"):
        errors = np.asarray(cell["values"][f"mse_{side}"])
        name = f"psnr_pooled_{side}"

        def pooled(r: Array, e: Array = errors) -> float:
            return 10 * math.log10(255**2 / max(float(e[r].mean()), 255**2 * 1e-10))

        yield _row(registry, cell, name, _figures(cell, name, pooled))
    yield _row(registry, cell, "forwards", (cell["forwards"], math.nan, math.nan))


def _paired_rows(registry: str, cell: CellData, cells: Sequence[CellData]) -> Iterator[Row]:
    """Difference of the output error to the best baseline on the same images: negative is better.

    The baseline is chosen on these very images, which favours the baseline.
    """
    facts = cell["facts"]
    same = ("task", "role", "attack", "seed", "dataset")
    rivals = [
        c
        for c in cells
        if all(c["facts"][k] == facts[k] for k in same) and c["facts"]["baseline"] and c is not cell
    ]
    if not rivals:
        return
    best = min(rivals, key=lambda c: float(np.mean(c["values"]["mse_o"])))
    difference = np.asarray(cell["values"]["mse_o"]) - np.asarray(best["values"]["mse_o"])
    figures = _figures(cell, f"to {best['key']}", _of_values(difference, np.mean))
    yield _row(registry, cell, "mse_o_difference", figures, f"to {best['facts']['component']}")


def _siblings(cell: CellData, cells: Sequence[CellData]) -> dict[str, CellData]:
    """The same detector's cells that a row is computed with: clean, and noise of equal strength."""
    facts = cell["facts"]
    found: dict[str, CellData] = {}
    for other in cells:
        o = other["facts"]
        if any(o[k] != facts[k] for k in ("task", "role", "component", "seed", "dataset")):
            continue
        if o["slice_role"] == "clean":
            found["clean"] = other
        elif o["noise"] and math.isclose(o["eps"], facts["eps"]):
            found["noise"] = other
    return found


def _detector_rows(registry: str, cell: CellData, others: Mapping[str, CellData]) -> Iterator[Row]:
    facts, thresholds = cell["facts"], cell["thresholds"]
    scores = np.asarray(cell["values"]["score"])
    points = {f"fpr{100 * cell['fpr']:g}": thresholds["fpr"], "best-f1": thresholds["f1"]}
    if facts["slice_role"] == "benign":
        share = _figures(cell, "fpr_benign", _share_above(scores, thresholds["fpr"]))
        yield _row(registry, cell, "fpr_benign", share, facts["attack"].removeprefix("benign:"))
        return
    if facts["slice_role"] == "clean":
        for variant, threshold in points.items():
            name = f"fpr_clean {variant}"
            share = _figures(cell, name, _share_above(scores, threshold))
            yield _row(registry, cell, "fpr_clean", share, variant)
        yield _row(registry, cell, "forwards", (cell["forwards"], math.nan, math.nan))
        return
    if "clean" not in others:
        return
    clean = np.asarray(others["clean"]["values"]["score"])
    free: dict[str, Callable[[Array], float]] = {
        "auroc": lambda r: auroc(clean[r], scores[r]),
        "tpr_at_1fpr": lambda r: tpr_at_fpr(clean[r], scores[r], 0.01),
        "tpr_at_5fpr": lambda r: tpr_at_fpr(clean[r], scores[r], 0.05),
    }
    if "noise" in others and not facts["noise"]:
        noise = np.asarray(others["noise"]["values"]["score"])
        free["auroc_noise"] = lambda r: auroc(noise[r], scores[r])
    for metric, statistic in free.items():
        yield _row(registry, cell, metric, _figures(cell, metric, statistic))
    for variant, threshold in points.items():
        for metric in ("precision", "recall", "f1", "f1_weighted", "accuracy"):
            statistic = _decision(clean, scores, threshold, metric)
            figures = _figures(cell, f"{metric} {variant}", statistic)
            yield _row(registry, cell, metric, figures, variant)
    yield _row(registry, cell, "forwards", (cell["forwards"], math.nan, math.nan))


def to_csv(rows: Sequence[Row]) -> str:
    """results.csv: exactly `COLUMNS`, floats with 9 significant digits, no interval as an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_shown(row[c]) for c in COLUMNS])
    return out.getvalue()


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value

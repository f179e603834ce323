"""From cells to the rows of results.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from magdr_core.components.fingerprints import digest
from magdr_core.components.objective import SUCCESS
from magdr_core.measures.evasion import Evaded, kept, modes_of
from magdr_core.measures.statistics import (
    TPR_RATES,
    Array,
    Reduce,
    auroc,
    bootstrap,
    bootstrap_values,
    holm,
    of_counts,
    sign_flip_p,
    tpr_at_fpr,
)
from magdr_core.measures.thresholds import scores_needed

COLUMNS = (
    *("registry", "task", "generator", "dataset", "attack", "eps", "steps", "knowledge", "role"),
    *("component", "variant", "metric", "value", "ci_low", "ci_high", "n", "seed", "seconds"),
)

DECISIONS = (
    *("precision", "recall", "f1", "precision_weighted", "recall_weighted", "f1_weighted", "accuracy"),
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
            if facts["slice_role"] == "adaptive" and facts["component"] == "identity":
                rows += _undefended_rows(registry, cell)
        elif facts["slice_role"] == "adaptive":
            siblings = _siblings(cell, good)
            rows += [*_detector_rows(registry, cell, siblings), *_evaded_rows(registry, cell, siblings)]
        elif facts["slice_role"] in ("clean", "attack", "sweep", "benign"):
            rows += _detector_rows(registry, cell, _siblings(cell, good))
    rows += _difference_rows(registry, [c for c in good if c["facts"]["role"] == "defense"])
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
    if facts["slice_role"] == "sweep":
        variant = ", ".join(filter(None, [variant, f"sweep {facts['steps']}"]))
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


def _seed(cell: CellData, about: str) -> int:
    """Random draws are seeded from the cell's key, so that a resumed run gives the same."""
    return int(digest([cell["key"], about]), 16)


def _figures(cell: CellData, metric: str, statistic: Callable[[Array], float]) -> tuple[float, float, float]:
    """Value and interval of a statistic of rows."""
    return bootstrap(statistic, np.asarray(cell["identities"]), _seed(cell, metric))


def _value_figures(
    cell: CellData, metric: str, values: Sequence[float] | Array, reduce: Reduce
) -> tuple[float, float, float]:
    """Value and interval of a mean, a median or the like of per-sample values."""
    identities = np.asarray(cell["identities"])
    return bootstrap_values(np.asarray(values), reduce, identities, _seed(cell, metric))


def _mean_rows(
    registry: str, cell: CellData, metrics: Iterable[str], medians: Iterable[str], variant: str = ""
) -> Iterator[Row]:
    """Means and medians of per-sample values; those of a variant are kept as `variant/metric`."""
    key = f"{variant}/" if variant else ""
    for metric in metrics:
        figures = _value_figures(cell, metric, cell["values"][key + metric], np.mean)
        yield _row(registry, cell, metric, figures, variant)
    for metric in medians:
        name = f"median_{metric}"
        figures = _value_figures(cell, name, cell["values"][key + metric], np.median)
        yield _row(registry, cell, name, figures, variant)


def _share_above(cell: CellData, name: str, scores: Array, threshold: float) -> tuple[float, float, float]:
    return _value_figures(cell, name, scores > threshold, np.mean)


def _decision(metric: str) -> Reduce:
    """A figure of pictures given as 2 (attacked one flagged) + 1 (clean one flagged)."""

    def reduce(flags: Array, *, axis: int) -> Any:
        n = flags.shape[axis]
        return of_counts((flags >> 1).sum(axis=axis), (flags & 1).sum(axis=axis), n, n)[metric]

    return reduce


def _defense_rows(registry: str, cell: CellData) -> Iterator[Row]:
    variants: dict[str, list[str]] = {}
    for name in sorted(cell["values"]):
        variant, _, metric = name.rpartition("/")
        variants.setdefault(variant, []).append(metric)
    for variant, metrics in variants.items():
        yield from _mean_rows(registry, cell, metrics, metrics, variant)
        for metric in metrics:
            if not metric.startswith("mse_"):
                continue
            errors = cell["values"][f"{variant}/{metric}" if variant else metric]
            for name, reduce in POOLED.items():
                name = f"{name}_{metric[-1]}"
                yield _row(registry, cell, name, _value_figures(cell, name, errors, reduce), variant)
    yield _row(registry, cell, "forwards", (cell["forwards"], math.nan, math.nan))


def _pooled_psnr(errors: Array, *, axis: int) -> Any:
    """PSNR of the pooled error, in dB; the mean of the images' own PSNR is another figure (Jensen)."""
    return 10 * np.log10(255**2 / np.maximum(np.mean(errors, axis=axis), 255**2 * 1e-10))


def _table_2(errors: Array, *, axis: int) -> Any:
    """What the paper's Table 2 calls MSE: its values and PSNRs obey PSNR + 20 log10(value) = 61.06 dB, so
    they are 4.433 times a root mean squared error. For comparison with that column only."""
    return TABLE_2_FACTOR * np.sqrt(np.mean(errors, axis=axis))


TABLE_2_FACTOR = 4.433
POOLED: dict[str, Reduce] = {"psnr_pooled": _pooled_psnr, "l2_table2": _table_2}


def _difference_rows(registry: str, cells: Sequence[CellData]) -> Iterator[Row]:
    """Paired differences of the output error to the best baseline of the same table: negative is better.

    The baseline is chosen on these very images, which favours the baseline; the best one is compared with
    the second best. `mse_o_difference_p` is the permutation test's p, adjusted after Holm for all the
    defenses of the table.
    """
    tables: dict[tuple[Any, ...], list[CellData]] = {}
    for cell in cells:
        facts = cell["facts"]
        same = tuple(facts[k] for k in ("task", "dataset", "attack", "eps", "steps", "seed", "slice_role"))
        tables.setdefault(same, []).append(cell)
    for table in tables.values():
        compared = [(cell, best) for cell in table if (best := _best_baseline(cell, table)) is not None]
        tests = []
        for cell, best in compared:
            difference = np.asarray(cell["values"]["mse_o"]) - np.asarray(best["values"]["mse_o"])
            about, variant = f"to {best['key']}", f"to {best['facts']['component']}"
            figures = _value_figures(cell, about, difference, np.mean)
            yield _row(registry, cell, "mse_o_difference", figures, variant)
            identities = np.asarray(cell["identities"])
            tests.append((cell, variant, sign_flip_p(difference, identities, _seed(cell, f"p {about}"))))
        adjusted = holm(np.array([p for _, _, p in tests]))
        for (cell, variant, _), p in zip(tests, adjusted.tolist(), strict=True):
            yield _row(registry, cell, "mse_o_difference_p", (p, math.nan, math.nan), variant)


def _best_baseline(cell: CellData, table: Sequence[CellData]) -> CellData | None:
    """The baseline with the least mean output error, of those that are not the cell itself."""
    rivals = [c for c in table if c["facts"]["baseline"] and c is not cell]
    return min(rivals, key=lambda c: float(np.mean(c["values"]["mse_o"])), default=None)


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
        share = _share_above(cell, "fpr_benign", scores, thresholds["fpr"])
        yield _row(registry, cell, "fpr_benign", share, facts["attack"].removeprefix("benign:"))
        return
    if facts["slice_role"] == "clean":
        for variant, threshold in points.items():
            name = f"fpr_clean {variant}"
            share = _share_above(cell, name, scores, threshold)
            yield _row(registry, cell, "fpr_clean", share, variant)
        yield _row(registry, cell, "forwards", (cell["forwards"], math.nan, math.nan))
        return
    if "clean" not in others:
        return
    clean = _scores_of(cell["ids"], others["clean"])
    free: dict[str, Callable[[Array], float]] = {
        "auroc": lambda r: auroc(clean[r], scores[r]),
    }
    for name, rate in TPR_RATES.items():
        if len(clean) >= scores_needed(rate):  # fewer clean images cannot tell
            free[name] = partial(_tpr, clean, scores, rate)
    if "noise" in others and not facts["noise"]:
        noise = _scores_of(cell["ids"], others["noise"])
        free["auroc_noise"] = lambda r: auroc(noise[r], scores[r])
    for metric, statistic in free.items():
        yield _row(registry, cell, metric, _figures(cell, metric, statistic))
    for variant, threshold in points.items():
        flags = 2 * (scores > threshold) + (clean > threshold)
        for metric in DECISIONS:
            figures = _value_figures(cell, f"{metric} {variant}", flags, _decision(metric))
            yield _row(registry, cell, metric, figures, variant)
    yield _row(registry, cell, "forwards", (cell["forwards"], math.nan, math.nan))


def _tpr(clean: Array, scores: Array, rate: float, rows: Array) -> float:
    return float(tpr_at_fpr(clean[rows], scores[rows], rate))


def _scores_of(ids: Sequence[str], cell: CellData) -> Array:
    """A cell's scores of these images; a sweep may be of fewer than the cell has."""
    scores = dict(zip(cell["ids"], cell["values"]["score"], strict=True))
    return np.array([scores[name] for name in ids])


def _evaded_rows(registry: str, cell: CellData, others: Mapping[str, CellData]) -> Iterator[Row]:
    """What each mode of an adaptive attack did to a detector, and what evades 95% of the time."""
    point = f"fpr{100 * cell['fpr']:g}"
    for mode in modes_of(cell["values"]):
        for metric, values in Evaded.of(cell, mode).figures():
            if metric == "recall" and not mode and "clean" in others:
                continue  # stands among the decisions already
            figures = _value_figures(cell, f"{metric} {mode}", values, np.mean)
            variant = ", ".join(filter(None, [point if metric == "recall" else "", mode]))
            yield _row(registry, cell, metric, figures, variant)
    if "clean" in others:
        false_alarms = np.asarray(others["clean"]["values"]["score"]) > cell["thresholds"]["fpr"]
        figures = _figures(cell, "kept", kept(cell, false_alarms))
        if not math.isnan(figures[0]):
            yield _row(registry, cell, "kept_at_95_evasion", figures)


def _undefended_rows(registry: str, cell: CellData) -> Iterator[Row]:
    """The same effort against no defense, as an attack's own figures: output MSE in [-1,1] units."""
    disruption = np.asarray(cell["values"]["mse_o"]) * 4 / 255**2
    as_attack = {**cell, "facts": {**cell["facts"], "role": "attack", "component": cell["facts"]["attack"]}}
    yield _row(registry, as_attack, "mse_o", _value_figures(cell, "attack", disruption, np.mean))
    yield _row(
        registry, as_attack, "median_mse_o", _value_figures(cell, "attack median", disruption, np.median)
    )
    above = (disruption > SUCCESS).astype(float)
    yield _row(registry, as_attack, "success", _value_figures(cell, "attack success", above, np.mean))


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

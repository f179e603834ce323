"""The figures that runs are compared by: how each follows from per-sample values, and what counts as much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import rankdata

from magdr_core.adaptive.attack import OBLIVIOUS
from magdr_core.compare.load import ComparedCell
from magdr_core.compare.paired import Statistic
from magdr_core.errors import MagdrError, suggestion
from magdr_core.measures.evasion import kept_share, key_of
from magdr_core.measures.statistics import TPR_RATES, Array, of_counts, tpr_at_fpr
from magdr_core.measures.thresholds import scores_needed
from magdr_core.results.rows import DECISIONS, POOLED

BEST_F1 = "best-f1"
STRICT = "fpr"
"""Operating points: the threshold of the best F1, and the one set for a rate of false alarms (`fpr1`)."""

DEFAULT = ("f1", "mse_o")

_MEASURES = ("mse", "ssim", "psnr", "fsim", "featsim")
PER_IMAGE = tuple(f"{name}_{side}" for side in "oi" for name in _MEASURES)
_RANKED = ("auroc", "auroc_noise", *TPR_RATES)
_ALARMS = ("fpr_clean", "fpr_benign")
_OF_ATTACKS = ("mse_o", "median_mse_o", "success")
_EVADED = ("mse_o_undetected", "kept_at_95_evasion")
"""Of attacks that know the detector."""

NAMES = (
    *DECISIONS,
    *_RANKED,
    *_ALARMS,
    *PER_IMAGE,
    *(f"median_{name}" for name in PER_IMAGE),
    *(f"{name}_{side}" for name in POOLED for side in "oi"),
    "success",
    *_EVADED,
)


@dataclass(frozen=True)
class Threshold:
    """A difference counts if it is larger than `absolute` and than the share `relative` of A's figure."""

    absolute: float
    relative: float = 0.0

    def size(self, a: float) -> float:
        return max(self.absolute, self.relative * abs(a))

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.absolute:g}"
        return f"{100 * self.relative:g}% of A" + (f", at least {self.absolute:g}" if self.absolute else "")


@dataclass(frozen=True)
class Metric:
    """A metric as asked for, such as `mse_o@ensemble`: name and variant of results.csv, empty: the usual."""

    name: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.variant}" if self.variant else self.name


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a figure of one cell is computed from: `statistic` of per-sample arrays, in the cell's order."""

    statistic: Statistic
    arrays: tuple[Array, ...]
    variant: str = ""


def parse_metric(text: str) -> Metric:
    """Raises MagdrError for a name that results.csv does not have, or that has no values per sample."""
    name, _, variant = text.partition("@")
    if name in ("forwards", "mse_o_difference", "mse_o_difference_p"):
        raise MagdrError(f"metric {name!r} has no values per sample, so there is no paired difference of it")
    if name not in NAMES:
        raise MagdrError(f"no metric {name!r}{suggestion(name, NAMES)}")
    points = (BEST_F1, STRICT)
    if _stem(name).endswith("_o"):
        return Metric(name, variant)  # ensembles, and the modes of adaptive attacks
    known = ("", *points) if name in DECISIONS or name == "fpr_clean" else ("",)
    if variant not in known and not (STRICT in known and variant.startswith(STRICT)):
        raise MagdrError(
            f"metric {name!r} has no variant {variant!r}{suggestion(variant, filter(None, known))}"
        )
    return Metric(name, variant)


def higher_is_better(role: str, name: str) -> bool:
    """An attack that disrupts more is the better attack."""
    return role == "attack" or not _stem(name).startswith(("mse", "fpr", "l2", "kept"))


def default_threshold(role: str, name: str) -> Threshold:
    """What is too small to matter, whatever its interval."""
    stem = _stem(name)
    if stem.startswith(("mse", "l2")):
        # Squared levels of 0 to 255; those of attacks, and of what a detector lets pass, are on [-1,1].
        return Threshold({"defense": 1.0, "attack": 0.005}.get(role, 0.001), 0.1)
    if stem.startswith("psnr"):
        return Threshold(0.5)
    if stem.startswith(("ssim", "fsim", "featsim", "auroc", "fpr")):
        return Threshold(0.01)
    return Threshold(0.02)


@dataclass(frozen=True)
class Size:
    """A threshold as a user says it: `5` takes the place of the default, `20%` of its share alone."""

    value: float
    share: bool

    @classmethod
    def parse(cls, text: str) -> Size:
        """Raises MagdrError if it is neither a number nor a percentage."""
        try:
            value = float(text.removesuffix("%"))
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise MagdrError(f"threshold {text!r} is no size: 0.02 or 10%, say")
        return cls(value / 100 if text.endswith("%") else value, text.endswith("%"))

    def of(self, role: str, name: str) -> Threshold:
        """The threshold for a figure; what is said of an MSE is in squared levels of 0 to 255."""
        if self.share:
            return replace(default_threshold(role, name), relative=self.value)
        unit = 127.5**2 if role != "defense" and _stem(name).startswith("mse") else 1.0
        return Threshold(self.value / unit)


def inputs(metric: Metric, cell: ComparedCell, cells: Sequence[ComparedCell]) -> Inputs | None:
    """What the figure of this cell is computed from; None where the cell has no such figure.

    Args:
        cells: of the same run: detection of attacks needs clean images, too.
    """
    made = {"attack": _attack_inputs, "defense": _defense_inputs, "detector": _detector_inputs}
    find = made.get(cell.facts["role"])
    return find(metric, cell, cells) if find else None


def _attack_inputs(metric: Metric, cell: ComparedCell, cells: Sequence[ComparedCell]) -> Inputs | None:
    return _per_image(metric, cell) if metric.name in _OF_ATTACKS and not metric.variant else None


def _defense_inputs(metric: Metric, cell: ComparedCell, cells: Sequence[ComparedCell]) -> Inputs | None:
    return _per_image(metric, cell) if metric.name not in (*DECISIONS, *_RANKED, *_ALARMS) else None


def _per_image(metric: Metric, cell: ComparedCell) -> Inputs | None:
    kept, side = metric.name, metric.name[-1]
    statistic: Statistic = _mean
    if kept.startswith("median_"):
        kept, statistic = kept.removeprefix("median_"), _median
    for pooled, reduce in POOLED.items():
        if kept == f"{pooled}_{side}":
            kept, statistic = f"mse_{side}", _reducing(reduce)
    values = cell.values.values.get(f"{metric.variant}/{kept}" if metric.variant else kept)
    return None if values is None else Inputs(statistic, (values,), metric.variant)


def _detector_inputs(metric: Metric, cell: ComparedCell, cells: Sequence[ComparedCell]) -> Inputs | None:
    role, scores = cell.facts["slice_role"], cell.values.values.get("score")
    if metric.name in _EVADED:
        return _evaded_inputs(metric, cell, cells)
    if scores is None or metric.name not in (*DECISIONS, *_RANKED, *_ALARMS):
        return None
    if metric.name in _ALARMS:
        if role != {"fpr_clean": "clean", "fpr_benign": "benign"}[metric.name]:
            return None
        variant = _point(cell, metric.variant or STRICT)
        return Inputs(_mean, (_flags(cell, variant).astype(float),), variant) if variant else None
    beside = _sibling(cell, cells, "noise" if metric.name == "auroc_noise" else "clean")
    if role in ("clean", "benign", "noise") or beside is None:
        return None
    rows = _rows(beside, cell)
    if rows is None:
        return None
    if metric.name in DECISIONS:
        variant = _point(cell, metric.variant or BEST_F1)
        if not variant:
            return None
        return Inputs(_decision(metric.name), (_flags(cell, variant), _flags(beside, variant)[rows]), variant)
    rate = TPR_RATES.get(metric.name)
    if rate is not None and len(rows) < scores_needed(rate):
        return None
    statistic = _auroc if rate is None else _tpr_at(rate)
    return Inputs(statistic, (scores, beside.values.values["score"][rows]))


def _evaded_inputs(metric: Metric, cell: ComparedCell, cells: Sequence[ComparedCell]) -> Inputs | None:
    """What an attack that knows the detector gets past it, and what one that does not disrupts."""
    disruption, whole = (cell.values.values.get(key_of(mode, "disruption")) for mode in ("", OBLIVIOUS))
    clean = _sibling(cell, cells, "clean")
    rows = None if clean is None else _rows(clean, cell)
    if disruption is None or whole is None or clean is None or rows is None:
        return None
    flagged = _flags(cell, STRICT)
    left = np.where(flagged, 0.0, disruption)
    if metric.name == "mse_o_undetected":
        return Inputs(_mean, (left,))
    return Inputs(kept_share, (left, whole, flagged & _flags(clean, STRICT)[rows]))


def _rows(beside: ComparedCell, cell: ComparedCell) -> Array | None:
    """Where a cell's samples are in another, which may have more; None if it lacks some."""
    at = {name: i for i, name in enumerate(beside.values.ids)}
    known = all(name in at for name in cell.values.ids)
    return np.array([at[name] for name in cell.values.ids]) if known else None


def _point(cell: ComparedCell, wanted: str) -> str:
    """The operating point's name in results.csv; empty if the detector has none of that name."""
    if wanted == BEST_F1:
        return BEST_F1
    own = f"{STRICT}{100 * cell.values.fpr:g}"
    return own if wanted in (STRICT, own) else ""


def _flags(cell: ComparedCell, point: str) -> Array:
    """Which samples the detector flags at an operating point."""
    return cell.values.values["score"] > cell.values.thresholds["f1" if point == BEST_F1 else "fpr"]


def _sibling(cell: ComparedCell, cells: Sequence[ComparedCell], kind: str) -> ComparedCell | None:
    """The same detector on clean images, or on noise of the attack's strength."""
    facts = cell.facts
    if kind == "noise" and facts["noise"]:
        return None
    for other in cells:
        o: Mapping[str, Any] = other.facts
        if any(o[k] != facts[k] for k in ("task", "role", "component", "seed", "dataset")):
            continue
        if kind == "clean" and o["slice_role"] == "clean":
            return other
        if kind == "noise" and o["noise"] and math.isclose(o["eps"], facts["eps"]):
            return other
    return None


# -- statistics of arrays along their last axis ----------------------------------------------------------


def _mean(values: Array) -> Any:
    return values.mean(-1)


def _median(values: Array) -> Any:
    return np.median(values, axis=-1)


def _reducing(reduce: Callable[..., Any]) -> Statistic:
    return lambda values: reduce(values, axis=-1)


def _decision(name: str) -> Statistic:
    def figure(attacked: Array, clean: Array) -> Any:
        n = attacked.shape[-1]
        return of_counts(attacked.sum(-1), clean.sum(-1), n, n)[name]

    return figure


def _auroc(positives: Array, negatives: Array) -> Any:
    """Mann and Whitney's statistic from ranks, ties counted half."""
    n = positives.shape[-1]
    ranks = rankdata(np.concatenate([positives, negatives], -1), axis=-1)[..., :n].sum(-1)
    return (ranks - n * (n + 1) / 2) / (n * negatives.shape[-1])


def _tpr_at(fpr: float) -> Statistic:
    return lambda positives, negatives: tpr_at_fpr(negatives, positives, fpr)


def _stem(name: str) -> str:
    return name.removeprefix("median_")

"""The figures that runs are compared by: which of them are asked for, and what counts as much."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from magdr_core.components.figure import Figure, Threshold
from magdr_core.errors import MagdrError, suggestion
from magdr_core.measures.definitions import DECISIONS, DEFINITIONS, Definitions
from magdr_core.results.measured import FigureInputs
from magdr_core.results.variant import BEST_F1, STRICT, Variant

DEFAULT = ("f1", "mse_o")
"""Compared of attacks, detectors and defenses if nothing is asked for; of other roles everything is."""


@dataclass(frozen=True)
class AskedMetric:
    """A metric as asked for, such as `mse_o@ensemble`: name and variant of results.csv, empty: the usual."""

    name: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.variant}" if self.variant else self.name

    def wants(self, one: FigureInputs) -> bool:
        """Whether a cell's figure is the one that was asked for."""
        if one.figure.name != self.name or not comparable(one.figure):
            return False
        variant = replace(one.variant, steps=None)  # which point of a sweep it is the cell says
        if self.variant == STRICT:
            return variant.strict and not variant.name
        if self.variant:
            return variant.format() == self.variant
        if one.figure.name == "fpr_benign":
            return True  # which edit it is of the cell says
        if one.figure.name in DECISIONS:
            return variant == Variant(BEST_F1)
        return not variant.name and (variant.strict or not variant.point)


def comparable(figure: Figure) -> bool:
    """Whether it makes sense to ask if a figure is better: it has a direction, values per sample, all samples
    (those on which an attack succeeds are others in another run), and a baseline, if any, that both runs
    share."""
    own = figure.needs and not figure.among and not any(need.startswith("baseline:") for need in figure.needs)
    return bool(own) and figure.better != "neither"


def names(definitions: Definitions = DEFINITIONS) -> list[str]:
    """Every metric that runs can be compared by."""
    return list(dict.fromkeys(figure.name for figure in definitions if comparable(figure)))


def parse_metric(text: str, definitions: Definitions = DEFINITIONS) -> AskedMetric:
    """Raises MagdrError for a name that results.csv does not have, or that has no values per sample."""
    name, _, variant = text.partition("@")
    known = names(definitions)
    if any(figure.among for figure in definitions.named(name)):
        raise MagdrError(
            f"metric {name!r} is of images on which an attack succeeds, and these are others in another run"
        )
    if name not in known and definitions.named(name):
        raise MagdrError(f"metric {name!r} has no values per sample, so there is no paired difference of it")
    if name not in known:
        raise MagdrError(f"no metric {name!r}{suggestion(name, known)}")
    if name.endswith(("_o", "_o_target")) or all(
        figure.role not in _CORE for figure in definitions.named(name)
    ):
        return AskedMetric(name, variant)  # ensembles, the modes of adaptive attacks, what other roles have
    points = (BEST_F1, STRICT) if any(figure.points for figure in definitions.named(name)) else ()
    if variant and variant not in points and not (points and variant.startswith(STRICT)):
        raise MagdrError(f"metric {name!r} has no variant {variant!r}{suggestion(variant, points)}")
    return AskedMetric(name, variant)


_CORE = frozenset(figure.role for figure in DEFINITIONS)


def default_metrics(definitions: Definitions = DEFINITIONS) -> tuple[AskedMetric, ...]:
    """What is compared if nothing is asked for."""
    others = (figure.name for figure in definitions if figure.role not in _CORE and comparable(figure))
    return tuple(AskedMetric(name) for name in dict.fromkeys((*DEFAULT, *others)))


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

    def of(self, figure: Figure) -> Threshold:
        """The threshold for a figure; what is said of an MSE is in squared levels of 0 to 255."""
        if self.share:
            return replace(figure.threshold, relative=self.value)
        return Threshold(self.value / figure.factor)


def chosen(
    metrics: Iterable[AskedMetric], found: Iterable[FigureInputs]
) -> list[tuple[AskedMetric, FigureInputs]]:
    """The figures of one cell that are asked for, in the order of the metrics."""
    every = list(found)
    return [(metric, one) for metric in metrics for one in every if metric.wants(one)]

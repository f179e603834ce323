"""What attacks that know a detector get past it: figures of stored cells, mode by mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from magdr_core.adaptive.attack import OBLIVIOUS
from magdr_core.components.objective import SUCCESS
from magdr_core.measures.statistics import Array

EVASION = 0.95
"""Share of images that have to go undetected for `kept_at_95_evasion`."""


def key_of(mode: str, metric: str) -> str:
    """Where a cell keeps a mode's values; the pool, an empty name, has the plain ones."""
    return f"{mode}/{metric}" if mode else metric


def modes_of(values: Mapping[str, Any]) -> list[str]:
    """The pool (an empty name) first, then the modes."""
    return sorted(name.rpartition("/")[0] for name in values if name.rpartition("/")[2] == "score")


@dataclass(frozen=True, eq=False)
class Evaded:
    """One mode's images as numbers.

    Attributes:
        flagged: bool `[n]`, at the threshold for the wanted rate of false alarms.
        disruption: `[n]`, undefended output MSE, [-1,1] units.
    """

    flagged: Array
    disruption: Array

    @classmethod
    def of(cls, cell: Mapping[str, Any], mode: str) -> Evaded:
        values = cell["values"]
        score = np.asarray(values[key_of(mode, "score")])
        return cls(score > cell["thresholds"]["fpr"], np.asarray(values[key_of(mode, "disruption")]))

    def figures(self) -> Iterator[tuple[str, Array]]:
        """Per-sample values whose means are the figures."""
        undetected = np.where(self.flagged, 0.0, self.disruption)
        yield "recall", self.flagged.astype(float)
        yield "mse_o", self.disruption
        yield "mse_o_undetected", undetected
        yield "success_undetected", (undetected > SUCCESS).astype(float)


def kept(cell: Mapping[str, Any], clean_flagged: Array) -> Callable[[Array], float]:
    """The disruption that evades 95% of the time, as a share of the undefended attack's: of rows.

    Flagged images keep nothing. An image that nothing evades is sent as it is, without any disruption; it is
    flagged only if it is a false alarm. NaN where even so fewer than 95% go undetected.
    """
    pool, whole = Evaded.of(cell, ""), Evaded.of(cell, OBLIVIOUS)
    left = np.where(pool.flagged, 0.0, pool.disruption)
    caught = pool.flagged & clean_flagged
    return lambda rows: float(kept_share(left[rows], whole.disruption[rows], caught[rows]))


def kept_share(left: Array, whole: Array, caught: Array) -> Any:
    """`sum(left) / sum(whole)` along the last axis; NaN where too many are `caught`, or there is nothing."""
    total = whole.sum(-1)
    enough = (total > 0) & (1 - caught.mean(-1) >= EVASION)
    return np.where(enough, left.sum(-1) / np.where(total > 0, total, 1.0), np.nan)

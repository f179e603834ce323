"""What a comparison of two runs consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from magdr_core.compare.align import By, Matching, Place
from magdr_core.compare.config_diff import Change
from magdr_core.compare.figures import AskedMetric, Size, default_metrics
from magdr_core.compare.load import ComparedRun
from magdr_core.compare.paired import fewest_identities
from magdr_core.components.figure import Figure, Threshold
from magdr_core.results.cell import CellResult

LEVEL = 0.05

Verdict = Literal["regression", "improvement", "uncertain", "small", "same", "reference"]
Correction = Literal["holm", "none"]


@dataclass(frozen=True)
class RegressionRule:
    """What counts as a regression.

    Attributes:
        metrics: what is compared.
        sizes: thresholds in place of the defaults, by metric name.
        correction: with `holm` p must be below 0.05 after its adjustment, too, where there are enough images
            for that to be possible at all; with `none` threshold and interval decide alone.
        by: what cells are paired by.
    """

    metrics: tuple[AskedMetric, ...] = field(default_factory=default_metrics)
    sizes: Mapping[str, Size] = field(default_factory=dict)
    correction: Correction = "holm"
    by: By = "settings"

    def threshold(self, figure: Figure) -> Threshold:
        own = self.sizes.get(figure.name)
        return own.of(figure) if own else figure.threshold


@dataclass(frozen=True)
class Compared:
    """One figure in both runs.

    Attributes:
        difference, low, high: B minus A with its 95% interval.
        p, p_adjusted: of the permutation test, before and after Holm's adjustment; None where nothing was
            tested.
        n: samples that both runs have; `n_a` and `n_b` are each run's own.
        identities: of those, how many different people (or pictures) they are.
        size: what the difference must exceed.
        identical: every sample measured the same.
        corrected: whether the adjusted p has a say in the verdict.
        verdict: `reference` for what is no component's achievement: the undefended row, the oracle, noise.
        causes: what changed of that which the figure depends on.
        worst: samples that became worse most: name, A's value, B's.
        forwards_a, forwards_b: generator passes per image.
    """

    place: Place
    generator: str
    dataset: str
    figure: Figure
    variant: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float | None
    p_adjusted: float | None
    n: int
    n_a: int
    n_b: int
    identities: int
    size: float
    identical: bool
    corrected: bool
    verdict: Verdict
    causes: tuple[str, ...] = ()
    worst: tuple[tuple[str, float, float], ...] = ()
    forwards_a: float | None = None
    forwards_b: float | None = None

    @property
    def metric(self) -> str:
        return self.figure.name

    @property
    def higher_is_better(self) -> bool:
        return self.figure.higher_is_better

    @property
    def worse(self) -> bool:
        return (self.difference < 0) == self.higher_is_better and self.difference != 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that is to be said of two runs.

    Attributes:
        new_failures: B's failed cells that A has a result of.
        fixed: of A's failed cells that B has a result of.
        other_failures: of the other failed cells, which cannot be compared.
        tested: comparisons that the p-values are adjusted for.
    """

    a: ComparedRun
    b: ComparedRun
    rule: RegressionRule
    changes: list[Change]
    matching: Matching
    rows: list[Compared]
    new_failures: list[CellResult]
    fixed: list[CellResult]
    other_failures: list[CellResult]
    tested: int

    def having(self, *verdicts: Verdict) -> list[Compared]:
        return [row for row in self.rows if row.verdict in verdicts]

    @property
    def regressions(self) -> list[Compared]:
        return self.having("regression")

    @property
    def found_worse(self) -> bool:
        """Whether a program that watches over B should stop."""
        return bool(self.regressions or self.new_failures)

    @property
    def too_few(self) -> int | None:
        """How many identities a comparison needs to pass the correction; None if all have as many."""
        if self.rule.correction == "none" or not self.tested:
            return None
        needed = fewest_identities(self.tested, LEVEL)
        tested = [row.identities for row in self.rows if row.p is not None]
        return needed if min(tested) < needed else None

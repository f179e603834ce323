"""Comparing two runs: every shared figure, its paired difference, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from magdr_core.bench.plan import ORACLE
from magdr_core.compare.align import By, Pair, keyed, match
from magdr_core.compare.config_diff import causes, changes, tables
from magdr_core.compare.figures import AskedMetric, chosen, default_metrics
from magdr_core.compare.load import ComparedRun, load_compared
from magdr_core.compare.paired import Paired, difference, exchange_p, fewest_identities
from magdr_core.compare.result import LEVEL, Compared, Comparison, RegressionRule, Verdict
from magdr_core.components.fingerprints import digest
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import Definitions
from magdr_core.measures.statistics import FLIPS, Array, Statistic, holm
from magdr_core.results.cell import IDENTITY, CellResult
from magdr_core.results.measured import FigureInputs, Siblings, measured
from magdr_core.results.variant import Variant

WORST = 3
_FLIPS_PER_TEST = 50
"""The smallest p of random exchanges must stay far below the level after the correction."""


def compare_folders(a: Path, b: Path, cache: Path, rule: RegressionRule | None = None) -> Comparison:
    """Compare two run folders, B with A.

    Raises:
        MagdrError: a folder is no finished run or is damaged, or the two share nothing; one clear line.
    """
    runs = load_compared(a, cache), load_compared(b, cache)
    definitions = Definitions([figure for run in runs for figure in run.definitions])
    return compare_runs(*runs, rule or RegressionRule(default_metrics(definitions)))


def compare_runs(a: ComparedRun, b: ComparedRun, rule: RegressionRule) -> Comparison:
    """Match the cells, compare every figure that the rule names, and judge.

    Raises:
        MagdrError: the runs share no cell, or none that has such a figure.
    """
    matching, found = match(a, b, rule.by), changes(a, b)
    beside = Siblings(a.cells), Siblings(b.cells)
    definitions = Definitions([*a.definitions, *b.definitions])
    drafts = [draft for pair in matching.pairs for draft in _drafts(pair, beside, definitions, rule)]
    if not drafts:
        raise MagdrError(
            f"{a.folder} and {b.folder} share {len(matching.pairs)} cells, none of which has "
            f"{' or '.join(map(str, rule.metrics))}"
        )
    tested = [draft for draft in drafts if not (draft.same or draft.reference)]
    flips = max(FLIPS, _FLIPS_PER_TEST * len(tested))
    p = np.array([draft.p(flips) for draft in tested])
    both = zip(p.tolist(), holm(p).tolist(), strict=True)
    known = {id(draft): values for draft, values in zip(tested, both, strict=True)}
    before, after = tables(a), tables(b)
    rows = []
    for draft in drafts:
        row_p, row_adjusted = known.get(id(draft), (None, None))
        dataset = draft.pair.a.facts.dataset
        why = () if draft.same else causes(draft.pair.place, dataset, before, after, found)
        able = len(np.unique(draft.identities)) >= fewest_identities(len(tested), LEVEL)
        corrected = rule.correction == "holm" and able
        rows.append(_row(draft, rule, row_p, row_adjusted, corrected, tuple(why)))
    new, fixed, other = _failures(a, b, rule.by)
    # Of every task, attacks that know what they attack come first: they are what a claim rests on.
    rows.sort(key=lambda row: row.place.knowledge != "adaptive")
    return Comparison(a, b, rule, found, matching, rows, new, fixed, other, len(tested))


def _failures(
    a: ComparedRun, b: ComparedRun, by: By
) -> tuple[list[CellResult], list[CellResult], list[CellResult]]:
    """Failed cells: those of B that A has a result of, those of A that B has a result of, and the others."""
    good = [keyed(run.cells, by) for run in (a, b)]
    failed = [keyed(run.failures, by) for run in (a, b)]
    new = {name: cell for name, cell in failed[1].items() if name in good[0]}
    fixed = {name: cell for name, cell in failed[0].items() if name in good[1]}
    others = {name: cell for name, cell in {**failed[0], **failed[1]}.items() if name not in {**new, **fixed}}
    return list(new.values()), list(fixed.values()), list(others.values())


@dataclass(frozen=True, eq=False)
class _Draft:
    """A figure of a pair of cells before it is judged; arrays are of the samples that both have."""

    pair: Pair
    metric: AskedMetric
    measured: FigureInputs
    statistic: Statistic
    a: tuple[Array, ...]
    b: tuple[Array, ...]
    identities: Array
    paired: Paired

    @property
    def same(self) -> bool:
        """Every sample measured the same."""
        return all(np.array_equal(x, y) for x, y in zip(self.a, self.b, strict=True))

    @property
    def reference(self) -> bool:
        """Whether this is nobody's achievement: the undefended row, the oracle, whatever noise does."""
        place = self.pair.place
        if place.role == "defense":
            return place.component in (IDENTITY, ORACLE)
        return self.pair.a.facts.noise

    @property
    def seed(self) -> int:
        return _seed(self.pair, self.metric)

    def p(self, flips: int) -> float:
        return exchange_p(self.statistic, self.a, self.b, self.identities, self.seed, flips)

    @property
    def variant(self) -> str:
        return _variant(self.measured)


def _seed(pair: Pair, metric: AskedMetric) -> int:
    """Random draws are seeded from what is compared, so that the same folders give the same figures."""
    return int(digest([pair.a.key, pair.b.key, str(metric)]), 16)


def _drafts(
    pair: Pair, beside: tuple[Siblings, Siblings], definitions: Definitions, rule: RegressionRule
) -> Iterator[_Draft]:
    rows_a, rows_b = (_places(cell, pair.ids) for cell in (pair.a, pair.b))
    identities = pair.a.of_identities[rows_a]
    ours, theirs = (
        chosen(rule.metrics, measured(cell, siblings.of(cell), definitions))
        for cell, siblings in zip((pair.a, pair.b), beside, strict=True)
    )
    there = {(metric, _variant(one)): one for metric, one in theirs}
    for metric, left in ours:
        right = there.get((metric, _variant(left)))
        # Thresholds for other rates of false alarms are other figures.
        if right is None or math.isnan(left.value) or math.isnan(right.value):
            continue
        statistic = left.statistic
        a, b = tuple(v[rows_a] for v in left.arrays), tuple(v[rows_b] for v in right.arrays)
        if all(np.array_equal(x, y) for x, y in zip(a, b, strict=True)):
            value = float(statistic(*a))
            paired = Paired(value, value, 0.0, 0.0, 0.0)
        else:
            paired = difference(statistic, a, b, identities, _seed(pair, metric))
        yield _Draft(pair, metric, left, statistic, a, b, identities, paired)


def _variant(one: FigureInputs) -> str:
    """What a comparison calls a variant: cells say which point of a sweep and which edit it is."""
    if one.figure.name == "fpr_benign":
        return Variant.at(one.cell.fpr or 0.0).format()
    return replace(one.variant, steps=None).format()


def _places(cell: CellResult, ids: tuple[str, ...]) -> Array:
    """Where these samples are in a cell's arrays."""
    at = {name: i for i, name in enumerate(cell.ids)}
    return np.array([at[name] for name in ids])


def _row(
    draft: _Draft,
    rule: RegressionRule,
    p: float | None,
    adjusted: float | None,
    corrected: bool,
    why: tuple[str, ...],
) -> Compared:
    place, figure, paired = draft.pair.place, draft.measured.figure, draft.paired
    a, b = draft.pair.a, draft.pair.b
    size = rule.threshold(figure).size(paired.a)
    return Compared(
        place=place,
        generator=a.facts.generator,
        dataset=a.facts.dataset,
        figure=figure,
        variant=draft.variant,
        a=paired.a,
        b=paired.b,
        difference=paired.difference,
        low=paired.low,
        high=paired.high,
        p=p,
        p_adjusted=adjusted,
        n=len(draft.pair.ids),
        n_a=len(a.ids),
        n_b=len(b.ids),
        identities=len(np.unique(draft.identities)),
        size=size,
        identical=draft.same,
        corrected=corrected,
        verdict=_verdict(draft, size, adjusted if corrected else None),
        causes=why,
        worst=_worst(draft),
        forwards_a=a.forwards,
        forwards_b=b.forwards,
    )


def _verdict(draft: _Draft, size: float, adjusted: float | None) -> Verdict:
    """`adjusted` is None where p has no say."""
    paired = draft.paired
    if draft.reference:
        return "reference"
    if draft.same:
        return "same"
    if not abs(paired.difference) > size:
        return "small"
    survives = adjusted is None or adjusted < LEVEL
    if not (survives and (paired.low > 0 or paired.high < 0)):
        return "uncertain"
    better = (paired.difference > 0) == draft.measured.figure.higher_is_better
    return "improvement" if better else "regression"


def _worst(draft: _Draft) -> tuple[tuple[str, float, float], ...]:
    """The samples that became worse most, of figures that are means of the samples' own."""
    figure = draft.measured.figure
    own_values = figure.statistic == "mean" and len(figure.needs) == 1 and "flagged" not in figure.needs
    if not own_values or draft.same:
        return ()
    (ours,), (theirs,) = draft.a, draft.b
    loss = (ours - theirs) if figure.higher_is_better else (theirs - ours)
    order = [i for i in np.argsort(-loss, kind="stable")[:WORST] if loss[i] > 0]
    return tuple((draft.pair.ids[i], float(ours[i]), float(theirs[i])) for i in order)

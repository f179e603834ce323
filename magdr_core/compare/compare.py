"""Comparing two runs: every shared figure, its paired difference, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magdr_core.bench.plan import ORACLE
from magdr_core.compare.align import Pair, Place, match
from magdr_core.compare.config_diff import causes, changes, tables
from magdr_core.compare.figures import PER_IMAGE, Inputs, Metric, higher_is_better, inputs
from magdr_core.compare.load import ComparedCell, ComparedRun, load_compared
from magdr_core.compare.paired import Paired, difference, exchange_p, fewest_identities
from magdr_core.compare.result import LEVEL, Compared, Comparison, Rule, Verdict
from magdr_core.components.fingerprints import digest
from magdr_core.errors import MagdrError
from magdr_core.measures.statistics import FLIPS, Array, holm

Facts = Mapping[str, Any]
WORST = 3
_FLIPS_PER_TEST = 50
"""The smallest p of random exchanges must stay far below the level after the correction."""


def compare_folders(a: Path, b: Path, cache: Path, rule: Rule | None = None) -> Comparison:
    """Compare two run folders, B with A.

    Raises:
        MagdrError: a folder is no finished run or is damaged, or the two share nothing; one clear line.
    """
    return compare_runs(load_compared(a, cache), load_compared(b, cache), rule or Rule())


def compare_runs(a: ComparedRun, b: ComparedRun, rule: Rule) -> Comparison:
    """Match the cells, compare every figure that the rule names, and judge.

    Raises:
        MagdrError: the runs share no cell, or none that has such a figure.
    """
    matching, found = match(a, b), changes(a, b)
    drafts = [draft for pair in matching.pairs for draft in _drafts(pair, a, b, rule)]
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
        facts = draft.pair.a.facts
        why = () if draft.same else causes(draft.pair.place, facts["dataset"], before, after, found)
        able = len(np.unique(draft.identities)) >= fewest_identities(len(tested), LEVEL)
        corrected = rule.correction == "holm" and able
        rows.append(_row(draft, rule, row_p, row_adjusted, corrected, tuple(why)))
    new, fixed, other = _failures(a, b)
    # Of every task, attacks that know what they attack come first: they are what a claim rests on.
    rows.sort(key=lambda row: row.place.knowledge != "adaptive")
    return Comparison(a, b, rule, found, matching, rows, new, fixed, other, len(tested))


def _failures(a: ComparedRun, b: ComparedRun) -> tuple[list[Facts], list[Facts], list[Facts]]:
    """Failed cells: those of B that A has a result of, those of A that B has a result of, and the others."""
    good = [{Place.of(cell.facts) for cell in run.cells} for run in (a, b)]
    new = [f for f in b.failures if Place.of(f) in good[0]]
    fixed = [f for f in a.failures if Place.of(f) in good[1]]
    told = {Place.of(f) for f in (*new, *fixed)}
    others = {Place.of(f): f for f in (*a.failures, *b.failures) if Place.of(f) not in told}
    return new, fixed, list(others.values())


@dataclass(frozen=True, eq=False)
class _Draft:
    """A figure of a pair of cells before it is judged; arrays are of the samples that both have."""

    pair: Pair
    metric: Metric
    inputs: Inputs
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
            return place.component in ("identity", ORACLE)
        return bool(self.pair.a.facts["noise"])

    @property
    def seed(self) -> int:
        return _seed(self.pair, self.metric)

    def p(self, flips: int) -> float:
        return exchange_p(self.inputs.statistic, self.a, self.b, self.identities, self.seed, flips)


def _seed(pair: Pair, metric: Metric) -> int:
    """Random draws are seeded from what is compared, so that the same folders give the same figures."""
    return int(digest([pair.a.key, pair.b.key, str(metric)]), 16)


def _drafts(pair: Pair, a: ComparedRun, b: ComparedRun, rule: Rule) -> Iterator[_Draft]:
    rows_a, rows_b = (_places(cell, pair.ids) for cell in (pair.a, pair.b))
    identities = pair.a.values.identities[rows_a]
    for metric in rule.metrics:
        left, right = inputs(metric, pair.a, a.cells), inputs(metric, pair.b, b.cells)
        # Thresholds for other rates of false alarms are other figures.
        if left is None or right is None or left.variant != right.variant:
            continue
        ours, theirs = tuple(v[rows_a] for v in left.arrays), tuple(v[rows_b] for v in right.arrays)
        if all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True)):
            value = float(left.statistic(*ours))
            paired = Paired(value, value, 0.0, 0.0, 0.0)
        else:
            paired = difference(left.statistic, ours, theirs, identities, _seed(pair, metric))
        yield _Draft(pair, metric, left, ours, theirs, identities, paired)


def _places(cell: ComparedCell, ids: tuple[str, ...]) -> Array:
    """Where these samples are in a cell's arrays."""
    at = {name: i for i, name in enumerate(cell.values.ids)}
    return np.array([at[name] for name in ids])


def _row(
    draft: _Draft, rule: Rule, p: float | None, adjusted: float | None, corrected: bool, why: tuple[str, ...]
) -> Compared:
    place, name, paired = draft.pair.place, draft.metric.name, draft.paired
    a, b = draft.pair.a, draft.pair.b
    higher = higher_is_better(place.role, name)
    size = rule.threshold(place.role, name).size(paired.a)
    return Compared(
        place=place,
        generator=str(a.facts["generator"]),
        dataset=str(a.facts["dataset"]),
        metric=name,
        variant=draft.inputs.variant,
        higher_is_better=higher,
        a=paired.a,
        b=paired.b,
        difference=paired.difference,
        low=paired.low,
        high=paired.high,
        p=p,
        p_adjusted=adjusted,
        n=len(draft.pair.ids),
        n_a=len(a.values.ids),
        n_b=len(b.values.ids),
        identities=len(np.unique(draft.identities)),
        size=size,
        identical=draft.same,
        corrected=corrected,
        verdict=_verdict(draft, size, adjusted if corrected else None, higher),
        causes=why,
        worst=_worst(draft, higher),
        forwards_a=a.forwards,
        forwards_b=b.forwards,
    )


def _verdict(draft: _Draft, size: float, adjusted: float | None, higher: bool) -> Verdict:
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
    return "improvement" if (paired.difference > 0) == higher else "regression"


def _worst(draft: _Draft, higher: bool) -> tuple[tuple[str, float, float], ...]:
    """The samples that became worse most, of figures that are means of the samples' own."""
    if draft.metric.name not in (*PER_IMAGE, "success") or draft.same:
        return ()
    (ours,), (theirs,) = draft.a, draft.b
    loss = (ours - theirs) if higher else (theirs - ours)
    order = [i for i in np.argsort(-loss, kind="stable")[:WORST] if loss[i] > 0]
    return tuple((draft.pair.ids[i], float(ours[i]), float(theirs[i])) for i in order)

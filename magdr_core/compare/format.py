"""A comparison in words and numbers as a reader sees them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from magdr_core.compare.config_diff import Change, told_apart
from magdr_core.compare.result import LEVEL, Compared, Comparison, Verdict
from magdr_core.measures.definitions import DEFINITIONS

_TWICE = [
    figure
    for figure in DEFINITIONS.of("attack")
    if any(other.threshold != figure.threshold for other in DEFINITIONS.named(figure.name))
]
"""Figures of attacks that share their names with others."""

VERDICTS: dict[Verdict, str] = {
    "regression": "regression",
    "improvement": "improvement",
    "uncertain": "uncertain",
    "small": "within the threshold",
    "same": "identical",
    "reference": "reference",
}
"""Each verdict as it is told."""

MEANINGS: dict[Verdict, str] = {
    "regression": "worse by more than the threshold, and sure",
    "improvement": "better by more than the threshold, and sure",
    "uncertain": "more than the threshold, but the images could have fallen this way by chance",
    "small": "no more than the threshold, sure or not",
    "same": "every image measured exactly the same",
    "reference": "nobody's achievement: the undefended row, the oracle, noise; never counted",
}


def figure(row: Compared, value: float) -> str:
    """A figure of a row with as many digits as its metric deserves, in the unit of :attr:`Figure.told`."""
    if math.isnan(value):
        return "-"
    return row.figure.text(value)


def signed(row: Compared, value: float) -> str:
    """A difference with its sign."""
    text = figure(row, value)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def p_value(p: float | None) -> str:
    """A p as tables have it; `-` where nothing was tested."""
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def sides(change: Change) -> tuple[str, str]:
    """What A and B say; of a list that only grew or shrank, by what."""
    if change.kind == "changed" or not change.what:
        return change.before, change.after
    return (f"less {change.before}", "") if change.before else ("", f"and {change.after}")


def plural(number: int, what: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def rule_lines(comparison: Comparison) -> list[str]:
    """What was compared, by which rule, and whether there are enough images for it."""
    rule, pairs = comparison.rule, len(comparison.matching.pairs)
    same = sum(pair.a.key == pair.b.key for pair in comparison.matching.pairs)
    shared = f", {same} of them one and the same result" if same else ""
    lines = [
        f"{plural(pairs, 'cell')} in both{shared}; {_tested(comparison)}",
        f"thresholds: {'; '.join(_thresholds(comparison))}",
    ]
    if rule.by == "label":
        apart = told_apart(comparison.matching.pairs, comparison.changes)
        differ = f"these differ: {'; '.join(apart)}" if apart else "no parameter differs"
        lines.append(f"paired by label, whatever the parameters; {differ}")
    elif alike := comparison.matching.alike:
        cells = plural(alike, "cell")
        lines.append(f"not compared: {cells} with the same labels but other settings; --by label pairs them")
    if rule.correction == "none":
        lines.append(
            "no correction for multiple comparisons: of many differences that are none, one in twenty has an "
            "interval without zero"
        )
    needed = comparison.too_few
    if needed is not None:
        have = min(row.identities for row in comparison.rows if row.p is not None)
        tested = plural(comparison.tested, "comparison")
        lines.append(
            f"too few images: {have} can never pass the correction for {tested} "
            f"({needed} can), so threshold and interval decide alone"
        )
    return lines


def _tested(comparison: Comparison) -> str:
    if not comparison.tested:
        return "no figure differs that could be tested"
    if comparison.rule.correction == "none":
        return f"{plural(comparison.tested, 'comparison')} tested"
    return f"p of {plural(comparison.tested, 'comparison')} adjusted after Holm, sure below {LEVEL:g}"


def _thresholds(comparison: Comparison) -> list[str]:
    found: dict[str, None] = {}
    for row in comparison.rows:
        own = replace(row.figure, threshold=comparison.rule.threshold(row.figure)).told.threshold
        of = " of attacks" if row.figure in _TWICE else ""
        found[f"{row.metric}{of} {own}"] = None
    return list(found)


def counted(comparison: Comparison) -> str:
    """The verdict in one line."""
    counts = Counter(row.verdict for row in comparison.rows)
    parts = [plural(counts["regression"], "regression"), plural(counts["improvement"], "improvement")]
    parts.append(f"{counts['uncertain']} uncertain")
    if comparison.new_failures:
        parts.append(f"{plural(len(comparison.new_failures), 'cell')} failing now")
    return ", ".join(parts)

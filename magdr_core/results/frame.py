"""The one look-up of a run's figures: by what they are about; several seeds become one figure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from magdr_core.results.cell import ADAPTIVE, ATTACK, CLEAN, CellResult, Facts
from magdr_core.results.columns import Row, read_rows
from magdr_core.results.variant import BEST_F1, Variant

NONE = "none"
"""The attack of clean images."""

MISSING = "-"


class AttackCondition(NamedTuple):
    """What the images went through: an attack with its strength, or nothing."""

    attack: str = NONE
    eps: float = 0.0
    steps: int = 0
    knowledge: str = ""
    channel: str = ""

    @classmethod
    def of(cls, facts: Facts) -> AttackCondition:
        """Undefended and oblivious figures share a column; adaptive or transferred attacks get their own.

        `FigureTable.condition` also knows where undefended figures of transferred attacks belong.
        """
        shown = "" if facts.knowledge in ("none", "oblivious") else facts.knowledge
        # 9 digits: the csv holds as many, the cells hold all of them.
        return cls(facts.attack, float(f"{facts.eps:.9g}"), facts.steps, shown, facts.channel)

    @property
    def label(self) -> str:
        known = f"{self.attack}, {self.knowledge}" if self.knowledge else self.attack
        return f"{known}, through {self.channel}" if self.channel else known

    @property
    def strength(self) -> str:
        if self.attack == NONE:
            return ""
        steps = f", {self.steps} step{'s' if self.steps != 1 else ''}" if self.steps > 1 else ""
        return f"eps {self.eps * 255:.4g}/255{steps}"


CLEAN_IMAGES = AttackCondition()


@dataclass(frozen=True)
class FigureValue:
    """A value with its 95% interval (NaN: none), the images per seed, and the seeds that it is a mean of."""

    value: float
    low: float
    high: float
    n: int
    seeds: int = 1
    knowledge: str = ""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> FigureValue | None:
        """What the rows of all seeds make together: their mean, with an interval that spans all of theirs."""
        if not rows:
            return None
        return cls(
            value=math.fsum(r["value"] for r in rows) / len(rows),
            low=min(r["ci_low"] for r in rows),
            high=max(r["ci_high"] for r in rows),
            n=min(r["n"] for r in rows),
            seeds=len(rows),
            knowledge=str(rows[0]["knowledge"]),
        )

    @property
    def has_interval(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))

    def overlaps(self, other: FigureValue) -> bool:
        """Whether the intervals share a point; without intervals nothing is known, so yes."""
        return not (self.low > other.high or other.low > self.high)

    def times(self, factor: float) -> FigureValue:
        """In another unit, that of `Figure.told` say."""
        value, low, high = (factor * number for number in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def text(self, form: str) -> str:
        """`value [low, high]`, each in a format such as `.3f`."""
        value = format(self.value, form)
        return f"{value} [{self.low:{form}}, {self.high:{form}}]" if self.has_interval else value


@dataclass(frozen=True)
class StepCurve:
    """One curve of Figure 3: a detector's F1 after more and more iterations of one attack."""

    attack: AttackCondition
    component: str
    points: tuple[tuple[int, FigureValue], ...]


class FigureTable:
    """The rows of a run, or some of them.

    Args:
        rows: as results.csv has them; a row without a value is none.
        cells: of the same run: they say what an undefended figure stands beside.
    """

    def __init__(self, rows: Iterable[Row], cells: Iterable[CellResult] = ()) -> None:
        self.rows = list(rows)
        self.cells = list(cells)

    @classmethod
    def read(cls, *paths: Path) -> FigureTable:
        """The rows of results.csv files.

        Raises:
            MagdrError: a file is none.
        """
        return cls([row for path in paths for row in read_rows(path)])

    def where(self, **wanted: Any) -> FigureTable:
        """The rows whose columns have these values; of several values in a tuple, any."""
        return FigureTable([row for row in self.rows if _has(row, wanted)], self.cells)

    def without_sweeps(self) -> FigureTable:
        """All but the points of curves against an attack's steps."""
        return FigureTable([row for row in self.rows if variant_of(row).steps is None], self.cells)

    def names(self, column: str) -> list[Any]:
        """The different values of a column, in the rows' order."""
        return list(dict.fromkeys(row[column] for row in self.rows))

    def first(self, variant: Variant | str = "", **wanted: Any) -> FigureValue | None:
        """The first figure of this variant with these columns: of one seed where there are several; behind no
        channel unless one is asked for."""
        wanted = {"channel": "", **wanted, "variant": str(variant)}
        return next((FigureValue.of([row]) for row in self.rows if _has(row, wanted)), None)

    def text(self, form: str, variant: Variant | str = "", **wanted: Any) -> str:
        """`first` as text in a format such as `.3f`, or a dash."""
        found = self.first(variant, **wanted)
        return MISSING if found is None else found.text(form)

    def number(self, form: str, variant: Variant | str = "", **wanted: Any) -> str:
        """`text` without the interval."""
        found = self.first(variant, **wanted)
        return MISSING if found is None else format(found.value, form)

    @property
    def strict(self) -> Variant:
        """The operating point set for a rate of false alarms, e.g. `fpr1`; the empty one if no row has it."""
        for metric in ("fpr_clean", "recall"):
            for row in self.rows:
                if row["metric"] == metric and (found := variant_of(row)).strict:
                    return Variant(found.point)
        return Variant()

    # -- what a figure is about: attacks with their strength, whatever the seed --------------------------

    def get(
        self,
        task: str,
        condition: AttackCondition,
        role: str,
        component: str,
        metric: str,
        variant: Variant | str = "",
    ) -> FigureValue | None:
        """One figure. Of several seeds: their mean, with an interval that spans all of theirs."""
        return FigureValue.of(self._found.get((task, condition, role, component, metric, str(variant)), ()))

    def variants(self, task: str, metric: str) -> list[Variant]:
        """The variants that a metric of a task has, but points of sweeps."""
        return self._variants.get((task, metric), [])

    def condition(self, facts: Facts) -> AttackCondition:
        """What the images of a row or cell went through.

        An undefended figure has no attacker who knows or does not know a defense: it stands with the figures
        of the defenses under the same attack, where those are all of one kind.
        """
        condition = AttackCondition.of(facts)
        if facts.knowledge == "none":
            known = self._known.get((facts.task, condition), set())
            if len(known) == 1:
                return condition._replace(knowledge=next(iter(known)))
        return condition

    def sweeps(self, task: str) -> dict[AttackCondition, list[StepCurve]]:
        """The curves of F1 against an attack's steps, at the best-F1 threshold, by attack."""
        curves: dict[tuple[AttackCondition, str, str], dict[int, list[Row]]] = {}
        for row in self.rows:
            variant = variant_of(row)
            known = variant.steps is not None and row["metric"] == "f1" and not math.isnan(row["value"])
            if row["task"] != task or not known or variant.name or variant.point not in ("", BEST_F1):
                continue
            # The curve is of one attack, whatever its rows say in the column for its iterations.
            key = (AttackCondition.of(facts_of(row))._replace(steps=0), row["component"], variant.point)
            curves.setdefault(key, {}).setdefault(variant.steps or 0, []).append(row)
        found: dict[AttackCondition, list[StepCurve]] = defaultdict(list)
        for (attack, component, _), points in curves.items():
            curve = [(n, f) for n, rows in sorted(points.items()) if (f := FigureValue.of(rows))]
            found[attack].append(StepCurve(attack, component, tuple(curve)))
        return dict(sorted(found.items()))

    @cached_property
    def plain(self) -> list[tuple[Row, Facts]]:
        """Rows that are no points of sweeps, with what they are about."""
        return [(row, facts_of(row)) for row in self.rows if variant_of(row).steps is None]

    @cached_property
    def _found(self) -> dict[tuple[str, AttackCondition, str, str, str, str], list[Row]]:
        found: dict[tuple[str, AttackCondition, str, str, str, str], list[Row]] = defaultdict(list)
        for row, facts in self._valued():
            about = (row["role"], row["component"], row["metric"], row["variant"])
            found[(facts.task, self.condition(facts), *about)].append(row)
        return dict(found)

    @cached_property
    def _variants(self) -> dict[tuple[str, str], list[Variant]]:
        found: dict[tuple[str, str], dict[Variant, None]] = defaultdict(dict)
        for row, _ in self._valued():
            found[(row["task"], row["metric"])][variant_of(row)] = None
        return {about: list(variants) for about, variants in found.items()}

    def _valued(self) -> Iterator[tuple[Row, Facts]]:
        return ((row, facts) for row, facts in self.plain if not math.isnan(row["value"]))

    @cached_property
    def _known(self) -> dict[tuple[str, AttackCondition], set[str]]:
        """What the attackers of each attack know, by the attack with nothing known."""
        known: dict[tuple[str, AttackCondition], set[str]] = defaultdict(set)
        for facts in (*map(facts_of, self.rows), *(cell.facts for cell in self.cells)):
            if facts.knowledge != "none":
                condition = AttackCondition.of(facts)
                known[(facts.task, condition._replace(knowledge=""))].add(condition.knowledge)
        return known


def variant_of(row: Row) -> Variant:
    """The column `variant` as a value."""
    return Variant.parse(row["variant"])


def facts_of(row: Row) -> Facts:
    """What a row is about. Of its images it says no more than whether somebody attacked them."""
    adaptive = row["knowledge"] == ADAPTIVE
    return Facts(
        **{name: row[name] for name in ("task", "generator", "dataset", "attack", "eps", "steps")},
        **{name: row[name] for name in ("knowledge", "role", "component", "seed")},
        channel=row.get("channel", ""),
        slice_role=CLEAN if row["attack"] == NONE else ADAPTIVE if adaptive else ATTACK,
    )


def _has(row: Row, wanted: dict[str, Any]) -> bool:
    return all(
        row.get(name, "") in value if isinstance(value, tuple) else row.get(name, "") == value
        for name, value in wanted.items()
    )

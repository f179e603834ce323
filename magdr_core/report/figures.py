"""The figures of a run, looked up by what they are about; several seeds become one figure."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from magdr_core.bench.plan import CLEAN, ORACLE
from magdr_core.report.load import RunData
from magdr_core.results.rows import Row

IDENTITY = "identity"
FINE_POINT = "best-f1"
"""The operating point that the paper's F1 is measured at; the other one starts with `fpr`."""

_SWEEP = re.compile(r"(?:(?P<point>.+?),? )?(?:sweep |steps=)(?P<steps>\d+)")
"""Variant of a point of Figure 3: one attack looked at after so many of its iterations."""

SIGNIFICANT = 0.05
"""Adjusted p below which a difference is called significant."""


class Condition(NamedTuple):
    """What the images went through: an attack with its strength, or nothing."""

    attack: str = CLEAN
    eps: float = 0.0
    steps: int = 0
    knowledge: str = ""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Condition:
        """Undefended and oblivious figures share a column; adaptive or transferred attacks get their own.

        `Figures.condition` also knows where undefended figures of transferred attacks belong.
        """
        knowledge = str(facts.get("knowledge", ""))
        shown = "" if knowledge in ("none", "oblivious") else knowledge
        # 9 digits: the csv holds as many, the cells hold all of them.
        eps = float(f"{float(facts.get('eps', 0)):.9g}")
        return cls(str(facts["attack"]), eps, int(facts.get("steps", 0)), shown)

    @property
    def label(self) -> str:
        return f"{self.attack}, {self.knowledge}" if self.knowledge else self.attack

    @property
    def strength(self) -> str:
        if self == CLEAN_IMAGES:
            return ""
        steps = f", {self.steps} step{'s' if self.steps != 1 else ''}" if self.steps > 1 else ""
        return f"eps {self.eps * 255:.4g}/255{steps}"


CLEAN_IMAGES = Condition()


@dataclass(frozen=True)
class Figure:
    """A value with its 95% interval (NaN: none), the images per seed, and the seeds that it is a mean of."""

    value: float
    low: float
    high: float
    n: int
    seeds: int = 1
    knowledge: str = ""

    @property
    def has_interval(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))

    def overlaps(self, other: Figure) -> bool:
        """Whether the intervals share a point; without intervals nothing is known, so yes."""
        return not (self.low > other.high or other.low > self.high)


@dataclass(frozen=True)
class Sweep:
    """One curve of Figure 3: a detector's F1 after more and more iterations of one attack."""

    attack: Condition
    component: str
    points: tuple[tuple[int, Figure], ...]


class Figures:
    """All figures of a run, and which components, conditions and tasks there should be."""

    def __init__(self, run: RunData) -> None:
        self.run = run
        self._found: dict[tuple[str, Condition, str, str, str, str], list[Row]] = defaultdict(list)
        self._sweeps: dict[tuple[str, Condition, str, str], dict[int, list[Row]]] = {}
        self.variants: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._rows: list[Row] = []
        # Asked for by every field of every table.
        self.seeds, self.attacks = cache(self._seeds), cache(self._attacks)
        self.components = cache(self._components)
        for row in run.rows:
            if point := _SWEEP.fullmatch(row["variant"]):
                self._swept(row, point["point"] or "", int(point["steps"]))
                continue
            self._rows.append(row)
            if math.isnan(row["value"]):
                continue
            about = (row["role"], row["component"], row["metric"], row["variant"])
            self._found[(row["task"], self.condition(row), *about)].append(row)
            seen = self.variants[(row["task"], row["metric"])]
            if row["variant"] not in seen:
                seen.append(row["variant"])

    @cached_property
    def _known(self) -> dict[tuple[str, Condition], set[str]]:
        """What the attackers of each attack know, by the attack with nothing known."""
        known: dict[tuple[str, Condition], set[str]] = defaultdict(set)
        for facts in (*self.run.rows, *(c["facts"] for c in self.run.cells)):
            if facts.get("knowledge", "none") != "none":
                condition = Condition.of(facts)
                known[(facts["task"], condition._replace(knowledge=""))].add(condition.knowledge)
        return known

    def condition(self, facts: Mapping[str, Any]) -> Condition:
        """What the images of a row or cell went through.

        An undefended figure has no attacker who knows or does not know a defense: it stands with the figures
        of the defenses under the same attack, where those are all of one kind.
        """
        condition = Condition.of(facts)
        if facts.get("knowledge") == "none":
            known = self._known.get((facts["task"], condition), set())
            if len(known) == 1:
                return condition._replace(knowledge=next(iter(known)))
        return condition

    def _swept(self, row: Row, point: str, steps: int) -> None:
        if row["metric"] != "f1" or point not in ("", FINE_POINT) or math.isnan(row["value"]):
            return
        # The curve is of one attack, whatever its rows say in the column for its iterations.
        key = (row["task"], Condition.of(row)._replace(steps=0), row["component"], point)
        self._sweeps.setdefault(key, {}).setdefault(steps, []).append(row)

    def get(
        self, task: str, condition: Condition, role: str, component: str, metric: str, variant: str = ""
    ) -> Figure | None:
        """One figure. Of several seeds: their mean, with an interval that spans all of theirs."""
        return _joined(self._found.get((task, condition, role, component, metric, variant)))

    def difference(
        self, task: str, condition: Condition, component: str
    ) -> tuple[Figure, str, bool | None] | None:
        """A defense's paired difference to the best baseline, that baseline, and the run's verdict on it.

        The verdict is None where the run has none: neither an adjusted p (`mse_o_difference_p`) nor
        `significant`.
        """
        for variant in self.variants[(task, "mse_o_difference")]:
            figure = self.get(task, condition, "defense", component, "mse_o_difference", variant)
            if figure is not None:
                about = (task, condition, "defense", component)
                p = self.get(*about, "mse_o_difference_p", variant)
                said = self.get(*about, "significant", variant) or self.get(*about, "significant")
                verdict = p.value < SIGNIFICANT if p else said.value > 0.5 if said else None
                return figure, variant.removeprefix("to "), verdict
        return None

    def sweeps(self, task: str) -> dict[Condition, list[Sweep]]:
        """The curves of Figure 3 by attack, in the profile's order of detectors."""
        found: dict[Condition, list[Sweep]] = defaultdict(list)
        for (its_task, attack, component, _), points in self._sweeps.items():
            if its_task == task:
                curve = [(n, f) for n, rows in sorted(points.items()) if (f := _joined(rows))]
                found[attack].append(Sweep(attack, component, tuple(curve)))
        order = self.run.listed("detectors")
        for curves in found.values():
            curves.sort(key=lambda sweep: (_rank(order, sweep.component), sweep.component))
        return dict(sorted(found.items()))

    @cached_property
    def facts(self) -> list[Mapping[str, Any]]:
        """What there is or should be: failed cells have no rows, rows may come from elsewhere."""
        return [c["facts"] for c in self.run.cells] + self._rows

    @cached_property
    def tasks(self) -> list[str]:
        return _ordered(self.run.listed("generators"), (f["task"] for f in self.facts))

    def _seeds(self, task: str) -> list[int]:
        """The seeds of a task."""
        return sorted({f["seed"] for f in self.facts if f["task"] == task and "seed" in f})

    def setting(self, task: str, name: str) -> str:
        """The generator or the dataset of a task."""
        return next((str(f[name]) for f in self.facts if f["task"] == task and f.get(name)), "")

    def samples(self, task: str) -> int | None:
        """Images per seed, as the rows say; the profile's number may have been limited."""
        return min((r["n"] for r in self._rows if r["task"] == task), default=None)

    def _attacks(self, task: str) -> list[Condition]:
        """The attacks that have tables, in the profile's order: those with figures, and failed ones."""
        known = [r for r in self._rows if r["attack"] != CLEAN]
        # A cell tells noise and benign edits apart by their role; rows are of clean images or attacks.
        known += [
            c["facts"]
            for c in self.run.cells
            if "error" in c and c["facts"].get("slice_role", "attack") == "attack"
        ]
        found = {self.condition(f) for f in known if f["task"] == task and f["attack"] != CLEAN}
        order = self.run.listed("attacks")
        return sorted(found, key=lambda c: (_rank(order, c.attack), *c))

    def _components(self, task: str, role: str) -> list[str]:
        """Labels in the profile's order; the undefended reference is first and the oracle last."""
        found = (f["component"] for f in self.facts if f["task"] == task and f["role"] == role)
        names = _ordered(self.run.listed(f"{role}s"), found)
        if role == "defense":
            names.sort(key=lambda name: (name != IDENTITY, name == ORACLE))
        return names

    def baselines(self, task: str, role: str, own: str) -> list[str]:
        """The components that are neither `own`, a component's name, nor variants of it, nor references."""
        uses = self.run.uses(role)
        return [
            name
            for name in self.components(task, role)
            if own not in (name, uses.get(name)) and name not in (IDENTITY, ORACLE)
        ]

    def is_noise(self, task: str, condition: Condition) -> bool:
        """Whether an attack is random noise: the reference of attacks, not one of them."""
        return (task, condition) in self._noises

    def sees_masks(self, task: str, role: str, component: str) -> bool:
        """Whether a component was given the exact masks of the synthetic faces."""
        return (task, role, component) in self._given_masks

    def failed(self, task: str, condition: Condition, role: str, component: str) -> bool:
        """Whether a missing figure is missing because its cell failed."""
        return (task, condition, role, component) in self._failed

    @cached_property
    def _noises(self) -> set[tuple[str, Condition]]:
        return {(f["task"], self.condition(f)) for c in self.run.cells if (f := c["facts"]).get("noise")}

    @cached_property
    def _given_masks(self) -> set[tuple[str, str, str]]:
        facts = (c["facts"] for c in self.run.cells)
        return {(f["task"], f["role"], f["component"]) for f in facts if f.get("seen_by_oracle")}

    @cached_property
    def _failed(self) -> set[tuple[str, Condition, str, str]]:
        facts = (c["facts"] for c in self.run.cells if "error" in c)
        return {(f["task"], self.condition(f), f["role"], f["component"]) for f in facts}

    def strict_point(self, task: str) -> str:
        """The operating point set for a rate of false alarms, e.g. `fpr1`; empty if no row has it."""
        points = [v for v in self.variants[(task, "fpr_clean")] if v.startswith("fpr")]
        points += [v for v in self.variants[(task, "recall")] if v.startswith("fpr")]
        return points[0] if points else ""

    @property
    def adaptive(self) -> bool:
        return any(r["knowledge"] == "adaptive" for r in self.run.rows)


def _joined(rows: Sequence[Row] | None) -> Figure | None:
    """The figure that the rows of all seeds make together."""
    if not rows:
        return None
    return Figure(
        value=math.fsum(r["value"] for r in rows) / len(rows),
        low=min(r["ci_low"] for r in rows),
        high=max(r["ci_high"] for r in rows),
        n=min(r["n"] for r in rows),
        seeds=len(rows),
        knowledge=str(rows[0]["knowledge"]),
    )


def _rank(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _ordered(first: Iterable[str], found: Iterable[str]) -> list[str]:
    """What was found: in the given order, then by name."""
    names, order = set(found), list(first)
    return sorted(names, key=lambda name: (_rank(order, name), name))

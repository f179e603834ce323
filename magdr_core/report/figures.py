"""The figures of a run, looked up by what they are about; several seeds become one figure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.load import RunData, without_channels
from magdr_core.results.cell import ATTACK, FORGED, IDENTITY, Facts
from magdr_core.results.columns import Row
from magdr_core.results.forensic_grid import ROLE as FORENSIC
from magdr_core.results.frame import CLEAN_IMAGES, NONE, AttackCondition, FigureTable, FigureValue, StepCurve
from magdr_core.results.variant import BEST_F1, ENSEMBLE, OBLIVIOUS, PLAIN, Variant

__all__ = [
    "CLEAN_IMAGES",
    "ENSEMBLE",
    "FINE_POINT",
    "IDENTITY",
    "OBLIVIOUS",
    "PLAIN",
    "AttackCondition",
    "FigureValue",
    "Figures",
    "StepCurve",
    "Variant",
]

FINE_POINT = Variant(BEST_F1)
"""The operating point that the paper's F1 is measured at; the other one starts with `fpr`."""

SIGNIFICANT = 0.05
"""Adjusted p below which a difference is called significant."""


class Figures:
    """All figures of a run, and which components, conditions and tasks there should be."""

    def __init__(self, run: RunData) -> None:
        # What lies behind a channel has a table of its own, see `report.channels`.
        self.whole, self.run = run, without_channels(run)
        run = self.run
        self.frame = FigureTable(run.rows, run.cells)
        # Asked for by every field of every table.
        self.seeds, self.attacks = cache(self._seeds), cache(self._attacks)
        self.components = cache(self._components)
        self.get, self.variants, self.condition = self.frame.get, self.frame.variants, self.frame.condition

    def difference(
        self, task: str, condition: AttackCondition, component: str
    ) -> tuple[FigureValue, str, bool | None] | None:
        """A defense's paired difference to the best baseline, that baseline, and the run's verdict on it.

        The verdict is None where the run has none: neither an adjusted p (`mse_o_difference_p`) nor
        `significant`.
        """
        for variant in self.variants(task, "mse_o_difference"):
            figure = self.get(task, condition, "defense", component, "mse_o_difference", variant)
            if figure is not None:
                about = (task, condition, "defense", component)
                p = self.get(*about, "mse_o_difference_p", variant)
                said = self.get(*about, "significant", variant) or self.get(*about, "significant")
                verdict = p.value < SIGNIFICANT if p else said.value > 0.5 if said else None
                return figure, variant.baseline, verdict
        return None

    def sweeps(self, task: str) -> dict[AttackCondition, list[StepCurve]]:
        """The curves of Figure 3 by attack, in the profile's order of detectors."""
        found, order = self.frame.sweeps(task), self.run.listed("detectors")
        for curves in found.values():
            curves.sort(key=lambda sweep: (_rank(order, sweep.component), sweep.component))
        return found

    @cached_property
    def facts(self) -> list[Facts]:
        """What there is or should be: failed cells have no rows, rows may come from elsewhere."""
        return [cell.facts for cell in self.run.cells] + [facts for _, facts in self.frame.plain]

    @cached_property
    def tasks(self) -> list[str]:
        return _ordered(self.run.listed("generators"), (f.task for f in self.facts))

    @cached_property
    def roles(self) -> list[str]:
        """Every role that a component has, in order of appearance."""
        return list(dict.fromkeys(f.role for f in self.facts))

    def _seeds(self, task: str) -> list[int]:
        """The seeds of a task."""
        return sorted({f.seed for f in self.facts if f.task == task})

    def setting(self, task: str, name: str) -> str:
        """The generator or the dataset of a task."""
        return next((str(getattr(f, name)) for f in self.facts if f.task == task and getattr(f, name)), "")

    def samples(self, task: str) -> int | None:
        """Images per seed, as the rows say; the profile's number may have been limited."""
        counts = (r["n"] for r, facts in self.frame.plain if facts.task == task and not _of_some(r))
        return min(counts, default=None)

    def _attacks(self, task: str) -> list[AttackCondition]:
        """The attacks that have tables, in the profile's order: those with figures, and failed ones."""
        known = [facts for _, facts in self.frame.plain]
        # A cell tells noise and benign edits apart by their role; rows are of clean images or attacks.
        known += [c.facts for c in self.run.cells if c.failed and c.facts.slice_role == ATTACK]
        attacked = (f for f in known if f.attack != NONE and not f.attack.startswith(FORGED))
        found = {self.condition(f) for f in attacked if f.task == task}
        order = self.run.listed("attacks")
        return sorted(found, key=lambda c: (_rank(order, c.attack), *c))

    def _components(self, task: str, role: str) -> list[str]:
        """Labels in the profile's order; the undefended reference is first and the oracle last."""
        found = (f.component for f in self.facts if f.task == task and f.role == role)
        names = _ordered(self.run.listed(f"{role}s"), found)
        if role == "defense":
            names.sort(key=lambda name: (name != IDENTITY, name == ORACLE))
        return names

    def is_ours(self, role: str, component: str) -> bool:
        """Whether a label stands for the method that the run is about, or a variant of it."""
        return self.run.uses(role).get(component, component) in self.run.ours

    def ours(self, task: str, role: str) -> str | None:
        """The label of that method: the one that is called like its component, else the first; or None."""
        names = [name for name in self.components(task, role) if self.is_ours(role, name)]
        return min(names, key=lambda name: name not in self.run.ours, default=None)

    def baselines(self, task: str, role: str) -> list[str]:
        """The components that are neither ours nor references."""
        names = self.components(task, role)
        return [n for n in names if not self.is_ours(role, n) and n not in (IDENTITY, ORACLE)]

    def is_noise(self, task: str, condition: AttackCondition) -> bool:
        """Whether an attack is random noise: the reference of attacks, not one of them."""
        return (task, condition) in self._noises

    def sees_masks(self, task: str, role: str, component: str) -> bool:
        """Whether a component was given the exact masks of the synthetic faces."""
        return (task, role, component) in self._given_masks

    def failed(self, task: str, condition: AttackCondition, role: str, component: str) -> bool:
        """Whether a missing figure is missing because its cell failed."""
        return (task, condition, role, component) in self._failed

    @cached_property
    def _noises(self) -> set[tuple[str, AttackCondition]]:
        return {(c.facts.task, self.condition(c.facts)) for c in self.run.cells if c.facts.noise}

    @cached_property
    def _given_masks(self) -> set[tuple[str, str, str]]:
        facts = (c.facts for c in self.run.cells)
        return {(f.task, f.role, f.component) for f in facts if f.seen_by_oracle}

    @cached_property
    def _failed(self) -> set[tuple[str, AttackCondition, str, str]]:
        facts = (c.facts for c in self.run.cells if c.failed)
        return {(f.task, self.condition(f), f.role, f.component) for f in facts}

    def strict_point(self, task: str) -> Variant:
        """The operating point set for a rate of false alarms, e.g. `fpr1`; the empty one if no row has it."""
        points = [*self.variants(task, "fpr_clean"), *self.variants(task, "recall")]
        return next((Variant(v.point) for v in points if v.strict), PLAIN)

    @property
    def adaptive(self) -> bool:
        """Whether some attack knew what it attacked, or nothing was attacked: forensic models alone."""
        return set(self.roles) == {FORENSIC} or any(r["knowledge"] == "adaptive" for r in self.run.rows)


def _rank(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _ordered(first: Iterable[str], found: Iterable[str]) -> list[str]:
    """What was found: in the given order, then by name."""
    names, order = set(found), list(first)
    return sorted(names, key=lambda name: (_rank(order, name), name))


def _of_some(row: Row) -> bool:
    """Whether a row's figure is of some of the images only."""
    figure = DEFINITIONS.get(row["role"], row["metric"])
    return figure is not None and bool(figure.among)

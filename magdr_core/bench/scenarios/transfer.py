"""Attacks by somebody who lacks something of the defended task: the generator, or the condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.scenarios.attack import ByAttack, attack_slice
from magdr_core.components.batch import Condition, Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, SharedImages, components_aside
from magdr_core.errors import DataError, suggestion
from magdr_core.registry import scenario_tables

MOST_DRAWS = 64
"""An attacker who does not know the condition draws so often, until it is another one."""


def is_of(task: str, settings: scenario_tables.Transfer | scenario_tables.Sweep) -> bool:
    """Whether a transfer or sweep applies to a task."""
    return not settings.generators or task in settings.generators


def check_tasks_named(plan: Planning, what: str, labels: Sequence[str]) -> None:
    """Raises RegistryError if one of the tasks that a table names is none of the profile's."""
    tasks = plan.toolkit.registry.tasks(plan.profile)
    for label in labels:
        if label not in tasks:
            raise plan.fault(
                f"{what}: generators: {label!r} is no task of the profile"
                f"{suggestion(label, tasks) or '; it has ' + ', '.join(tasks)}"
            )


class TransferScenario(ByAttack):
    """Each of the profile's tables `transfer`."""

    name = "transfer"
    key = "transfer"
    settings = scenario_tables.Transfer

    @property
    def fact(self) -> str:
        return "attack"  # in tables it is one more attack

    def check(self, plan: Planning) -> None:
        for transfer in plan.profile.transfer:
            check_tasks_named(plan, f"transfer of {transfer.attack!r}", transfer.generators)

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        names = [part.name for part in earlier]
        for transfer in plan.profile.transfer:
            if not is_of(plan.task, transfer):
                continue
            part = attack_slice(plan, transfer.attack, self.name)
            lacking = [transfer.surrogate] if transfer.surrogate else []
            lacking += ["unknown-condition"] if transfer.condition == "unknown" else []
            names.append(f"{part.name}@{'+'.join(lacking)}")
            yield replace(part, name=names[-1], settings=transfer)
        if len(set(names)) != len(names):
            raise plan.fault("an attack is listed twice")

    def check_task(self, plan: Planning) -> None:
        for transfer in plan.profile.transfer:
            if is_of(plan.task, transfer):
                with components_aside():
                    self._check(plan, transfer)

    def _check(self, plan: Planning, transfer: scenario_tables.Transfer) -> None:
        """The surrogate can take the task's place, and there is a condition not to know."""
        what, task = f"transfer of {transfer.attack!r}", plan.task
        names = plan.toolkit.build("generator", task).condition_names
        if transfer.condition == "unknown" and not names:
            raise plan.fault(
                f"{what}: {task} has no condition that could be unknown (generators = [...] says which tasks "
                "a transfer applies to)"
            )
        if not transfer.surrogate:
            return
        if transfer.surrogate == task:
            raise plan.fault(f"{what}: the surrogate {task!r} is the task itself")
        self._check_learned(plan, what, attack_slice(plan, transfer.attack).label)
        own, surrogate = (plan.toolkit.build("generator", g) for g in (task, transfer.surrogate))
        other = surrogate.condition_names
        if other != names and transfer.condition != "surrogate":
            raise plan.fault(
                f"{what}: the surrogate {transfer.surrogate!r} takes the conditions "
                f"{', '.join(other) or 'none'}, {task} takes {', '.join(names) or 'none'} "
                '(generators = [...] says which tasks a transfer applies to; condition = "surrogate" '
                "attacks with conditions of the surrogate's own)"
            )
        if surrogate.size != own.size:
            raise plan.fault(
                f"{what}: the surrogate {transfer.surrogate!r} takes images of {surrogate.size} pixels a "
                f"side, {task} of {own.size}"
            )

    def _check_learned(self, plan: Planning, what: str, label: str) -> None:
        """An attack that says itself which generators it learns on has no further surrogate."""
        resolved = plan.check("attack", label)
        if resolved is not None and resolved.needs.get(resolved.entry.spec.learns_on):
            raise plan.fault(
                f"{what}: [attack.{label}] names the {resolved.entry.spec.learns_on} that it learns on, so "
                "it is the same whatever the surrogate: list it under attacks"
            )

    # -- tables -----------------------------------------------------------------------------------------

    def knowledge(self, part: Slice, *, undefended: bool) -> str:
        return "none" if undefended else "transfer"

    def knows(self, knowledge: str) -> str:
        return "less than the defender: see lacks" if knowledge == "transfer" else super().knows(knowledge)

    def lacks(self, part: Slice) -> list[str]:
        transfer: Any = part.settings
        lacking = [f"the generator: made on {transfer.surrogate}"] if transfer.surrogate else []
        return lacking + (["the condition"] if transfer.condition != "known" else [])

    # -- images -----------------------------------------------------------------------------------------

    def attacked_generator(self, toolkit: Any, part: Slice, G: Any) -> Any:
        transfer: Any = part.settings
        return toolkit.generator(transfer.surrogate) if transfer.surrogate else G

    def learned_on(self, part: Slice) -> str:
        transfer: Any = part.settings
        surrogate: str = transfer.surrogate
        return surrogate

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        transfer: Any = part.settings
        surrogate = transfer.surrogate
        other = images.toolkit.resolve("generator", surrogate).identity if surrogate else None
        return {**super().images_key(images, part), "transfer": [other, transfer.condition]}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        transfer: Any = part.settings
        G = self.attacked_generator(images.toolkit, part, images.G)
        if transfer.condition == "unknown":
            clean = other_conditions(images, clean)
        elif transfer.condition == "surrogate":
            clean = images.drawn_for(G)
        return {part: self.attacked(images, part, clean, G)}


def other_conditions(images: SharedImages, clean: Samples) -> Samples:
    """The same images with conditions that an attacker draws, none of them the defender's.

    Raises:
        DataError: some image has but one condition.
    """
    found, n = clean.conditions, len(clean)
    missing = torch.ones(n, dtype=torch.bool, device=clean.images.device)
    rows = torch.arange(n, device=missing.device)
    for attempt in range(MOST_DRAWS):
        other = images.drawn(int(digest(["attacker", images.seed, attempt]), 16)).conditions
        new = missing & other.differs(clean.conditions)
        found = Condition.cat([found, other])[torch.where(new, rows + n, rows)]
        missing &= ~new
        if not bool(missing.any()):
            return Samples(clean.images, found, clean.ids)
    raise DataError(
        f"{int(missing.sum())} of {len(clean)} images had no other condition in {MOST_DRAWS} draws"
    )

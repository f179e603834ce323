"""Which attack a command on files means, and that attack ready to be called."""

from __future__ import annotations

from pathlib import Path

from magdr_core.errors import DataError, suggestion
from magdr_core.guards import GuardedAttack
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit


def chosen_attack(toolkit: Toolkit, label: str | None = None) -> str:
    """The attack of that label, or the registry's first one.

    Raises:
        DataError: there is none.
    """
    name, attacks = toolkit.registry.path.name, toolkit.registry.labels("attack")
    if label is None and not attacks:
        raise DataError(f"{name} has no [attack.LABEL] table")
    chosen = label or attacks[0]
    if chosen not in attacks:
        raise DataError(f"{name} has no [attack.{chosen}]{suggestion(chosen, attacks)}")
    return chosen


def ready_attack(toolkit: Toolkit, task: str, label: str, cache: Path) -> GuardedAttack:
    """The attack that a label means on a task; one that learns has learned, from faces of the task's dataset.

    Args:
        cache: where attacked faces are kept that it learns from.
    """
    label = toolkit.registry.attack_on(task, label)
    attack: GuardedAttack = toolkit.build("attack", label)
    if not attack.learns:
        return attack
    return toolkit.calibrator(task, toolkit.registry.dataset_of(task), Store(cache)).attack(label)

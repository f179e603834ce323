"""Which of core's wrappers a component gets."""

from __future__ import annotations

from typing import Any

from magdr_core import guards as guard
from magdr_core.components.specs import (
    AttackSpec,
    AugmentationSpec,
    GeneratorSpec,
    MetricSpec,
    RestorationSpec,
)
from magdr_core.guards.dataset import GuardedDataset
from magdr_core.registry.resolve import Resolved


def wrapped(resolved: Resolved, component: Any, where: str) -> Any:
    """The component inside core's wrapper of its kind, which knows the registry's label.

    Args:
        where: what errors call it.
    """
    guarded = _wrapped(resolved, component, where)
    if isinstance(guarded, guard.Guard):
        guarded.label = resolved.instance.label
    return guarded


def _wrapped(resolved: Resolved, component: Any, where: str) -> Any:
    spec = resolved.entry.spec
    match spec:
        case MetricSpec():
            return guard.GuardedMetric(
                component,
                where,
                higher_is_better=spec.higher_is_better,
                to_distance=spec.to_distance,
                conditional=spec.conditional,
            )
        case AugmentationSpec() | RestorationSpec():
            return guard.GuardedImageMap(component, where, stochastic=spec.stochastic)
        case GeneratorSpec():
            return guard.GuardedGenerator(
                component,
                where,
                stochastic=spec.stochastic,
                objective=spec.objective,
                stream=resolved.entry.name,
            )
        case AttackSpec():
            return guard.GuardedAttack(
                component,
                where,
                eps=float(resolved.params["eps"]),
                objective=resolved.instance.objective,
                stochastic=spec.stochastic,
            )
    wrapper = _GUARDS.get(spec.kind)
    return component if wrapper is None else wrapper(component, where, stochastic=spec.stochastic)


_GUARDS: dict[str, type[guard.Guard]] = {
    "parser": guard.GuardedParser,
    "detector": guard.GuardedDetector,
    "defense": guard.GuardedDefense,
    "dataset": GuardedDataset,
}

"""Core's wrapper around a component, as its kind has it."""

from __future__ import annotations

from typing import Any

from magdr_core.components.kind import Kind
from magdr_core.guards import Guard
from magdr_core.registry.resolve import Resolved


def wrapped(kind: Kind, resolved: Resolved, component: Any, where: str) -> Any:
    """The component inside its kind's wrapper, which knows the registry's label.

    Args:
        where: what errors call it.
    """
    guarded = kind.guard(resolved, component, where)
    if isinstance(guarded, Guard):
        guarded.label = resolved.instance.label
    return guarded

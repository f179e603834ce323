"""Core's wrapper around a component, as its kind has it."""

from __future__ import annotations

from typing import Any

from magdr_core.components.kind import Kind
from magdr_core.errors import BrokenPluginError, MagdrError, one_line
from magdr_core.guards import Guard
from magdr_core.registry.resolve import Resolved


def wrapped(kind: Kind, resolved: Resolved, component: Any, where: str) -> Any:
    """The component inside its kind's wrapper, which knows the registry's label.

    Args:
        where: what errors call it.

    Raises:
        BrokenPluginError: the kind's guard fails, or gives nothing.
    """
    try:
        guarded = kind.guard(resolved, component, where)
    except MagdrError:
        raise
    except Exception as e:
        raise BrokenPluginError(f"{where}: the guard of kind {kind.name!r} fails: {one_line(e)}") from e
    if guarded is None:
        raise BrokenPluginError(f"{where}: the guard of kind {kind.name!r} gave nothing")
    if isinstance(guarded, Guard):
        guarded.label = resolved.instance.label
    return guarded

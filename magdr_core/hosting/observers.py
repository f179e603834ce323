"""Calling event hooks: each observer is shown copies, and what goes wrong in one is told and ends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import pluggy
import torch

from magdr_core.errors import MagdrError, one_line
from magdr_core.isolation.containment import contained


def notify(
    manager: pluggy.PluginManager,
    order: Sequence[str],
    event: str,
    report: Callable[[str], None],
    values: Mapping[str, Any],
) -> bool:
    """Call an event hook of every plugin, each with copies of its own.

    Args:
        order: ids of plugins; others come after these.
        report: is told what goes wrong, a line each.

    Returns:
        Whether anything has.
    """
    failed = False
    impls = {impl.plugin_name: impl for impl in getattr(manager.hook, event).get_hookimpls()}
    for plugin in [*order, *(p for p in impls if p not in order)]:
        if plugin not in impls:
            continue
        faults = list(_faults(plugin, event, impls[plugin], values))
        for fault in faults:
            report(fault)
        failed |= bool(faults)
    return failed


def _faults(plugin: str, event: str, impl: Any, values: Mapping[str, Any]) -> Iterator[str]:
    """Call one observer with copies of its own; what it did that it should not."""
    shown = {name: deepcopy(values[name]) for name in impl.argnames}
    where = f"observer {plugin!r}"
    try:
        contained(where, lambda: impl.function(**shown), failed=f"failed in {event}")
    except (MagdrError, torch.OutOfMemoryError) as e:
        text, prefix = one_line(e), f"{where}: "
        said = text.removeprefix(prefix) if text.startswith(prefix) else f"failed in {event}: {text}"
        yield f"{where} {said}"
    else:
        if any(not _equal(shown[name], values[name]) for name in shown):
            yield f"{where} changes what it is shown in {event}; that has no effect"


def _equal(shown: Any, value: Any) -> bool:
    """Whether an observer left its copy as it was; what cannot be compared counts as that."""
    try:
        return bool(shown == value)
    except Exception:
        return True

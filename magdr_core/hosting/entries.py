"""Registered components, and how they are collected from a plugin module's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pluggy

from magdr_core.components.kind import Kind
from magdr_core.components.specs import ComponentSpec
from magdr_core.errors import BrokenPluginError
from magdr_core.hosting.discovery import BUILTIN, Origin
from magdr_core.isolation.containment import imported


@dataclass(frozen=True)
class Entry:
    """A registered component."""

    spec: ComponentSpec
    origin: Origin

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def name(self) -> str:
        """What a registry writes in `use`: bare for built-ins, else `plugin/name`."""
        namespace = self.origin.namespace
        return self.spec.name if namespace == BUILTIN else f"{namespace}/{self.spec.name}"


Entries = Mapping[tuple[str, str], Entry]
"""By kind and name."""


def collect(
    manager: pluggy.PluginManager, origin: Origin, where: str, kinds: Mapping[str, Kind], taken: Entries
) -> Entries:
    """The components of a plugin module that is registered with `manager`.

    Args:
        where: of the module, in errors.
        kinds: those that its hooks may be of, by name.
        taken: components of other modules.

    Raises:
        BrokenPluginError: a hook gives no list of its kind's specs, or a name that is taken.
    """
    found: dict[tuple[str, str], Entry] = {}
    for kind in kinds.values():
        wanted = kind.spec.__name__
        for impl in getattr(manager.hook, kind.hook).get_hookimpls():
            if impl.plugin_name != origin.plugin:
                continue
            specs = _given(impl.function, origin)
            if not isinstance(specs, list | tuple):
                raise BrokenPluginError(f"{where}: {kind.hook} must return a list of {wanted}")
            for spec in specs:
                if type(spec) is not kind.spec:
                    given = type(spec).__name__
                    raise BrokenPluginError(f"{where}: {kind.hook} returned a {given}, expected {wanted}")
                _ = spec.schema  # a wrong signature is found now, not in the middle of a run
                entry = Entry(spec, origin)
                about = (kind.name, entry.name)
                if (other := found.get(about) or taken.get(about)) is not None:
                    provided = f"{kind.name} {entry.name!r} is already provided by {other.origin}"
                    raise BrokenPluginError(f"{where}: {provided}")
                found[about] = entry
    return found


def _given(hook: Callable[[], Any], origin: Origin) -> Any:
    """What a hook gives. The package's own say the same every time, and are asked once in a process."""
    return _builtin_specs(hook) if origin.namespace == BUILTIN else imported(hook)


@cache
def _builtin_specs(hook: Callable[[], Any]) -> Any:
    return imported(hook)

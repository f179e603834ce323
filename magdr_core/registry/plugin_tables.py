"""Tables and keys that plugins brought a meaning for: read once these are loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from magdr_core.components.kind import RESERVED
from magdr_core.errors import RegistryError
from magdr_core.registry.parsed import Registry
from magdr_core.registry.read import Reader, no_such_key, no_such_table
from magdr_core.registry.settings import ProfileTable

if TYPE_CHECKING:
    from magdr_core.hosting.manager import PluginHost


def needs_plugins(registry: Registry) -> bool:
    """Whether it says something that only a plugin can give a meaning."""
    return bool(registry.unread) or any(profile.extra for profile in registry.profiles.values())


def completed(registry: Registry, host: PluginHost) -> Registry:
    """The registry with everything read that was left for plugins.

    Args:
        host: the plugins that the registry names are loaded.

    Raises:
        RegistryError: a table or a profile's key that nobody knows, as :func:`read_registry` would have it;
            whatever is wrong with a table of a plugin's kind.
    """
    instances = dict(registry.instances)
    for name, tables in registry.unread.items():
        if name not in host.kinds:
            file = registry.file_of(f"[{'.'.join([name, *tables][:2])}]")
            raise no_such_table(file, name, {*RESERVED, *host.kinds})
        for label, table in tables.items():
            reader = Reader(registry.path, registry.file_of(f"[{name}.{label}]"))
            instances[(name, label)] = reader.instance(host.kinds[name], label, table)
    if any(profile.extra for profile in registry.profiles.values()):
        _check_keys(registry, {*_keys(host), *ProfileTable.model_fields})
    return replace(registry, instances=MappingProxyType(instances), unread=MappingProxyType({}))


def _keys(host: PluginHost) -> Iterable[str]:
    """What a profile may say for roles and scenarios."""
    yield from (role.plural for role in host.roles.values() if role.plural)
    yield from (scenario.key for scenario in host.scenarios.values() if scenario.key)


def _check_keys(registry: Registry, known: set[str]) -> None:
    for name, profile in registry.profiles.items():
        place = f"[profile.{name}]"
        for key in profile.extra:
            if key not in known:
                raise RegistryError(f"{registry.file_of(place)} {place}: {no_such_key(key, known)}")

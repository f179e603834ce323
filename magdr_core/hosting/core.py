"""What core itself brings through the hooks: the plugin modules of `magdr_core.builtin`.

They are found by this constant and not by an entry point, so that they are there whatever an installation's
metadata say. No registry names them and nothing blocks them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from magdr_core._version import __version__

if TYPE_CHECKING:
    from magdr_core.components.kind import Kind

CORE = "core"
PACKAGE = "magdr_core.builtin"
MODULES = ("kinds", "roles", "scenarios", "commands", "recipes")


def core_module(name: str) -> ModuleType:
    """One of core's plugin modules; only it is imported."""
    return importlib.import_module(f"{PACKAGE}.{name}")


@cache
def core_modules() -> Mapping[str, ModuleType]:
    """Core's plugin modules by id, such as `core.kinds`."""
    return {f"{CORE}.{name}": core_module(name) for name in MODULES}


def core_owner(plugin: str) -> str:
    """What errors call one of core's plugin modules."""
    return f"{plugin} (magdr {__version__})"


@cache
def core_profile_keys() -> frozenset[str]:
    """What a profile may say for roles and scenarios that are there without any plugin."""
    roles, scenarios = core_module("roles").magdr_roles(), core_module("scenarios").magdr_scenarios()
    keys = {role.plural for role in roles} | {scenario.key for scenario in scenarios}
    return frozenset(keys - {""})


@cache
def core_kinds() -> Mapping[str, Kind]:
    """The kinds that are there without any plugin, by name."""
    kinds: list[Kind] = core_module("kinds").magdr_kinds()
    return {kind.name: kind for kind in kinds}

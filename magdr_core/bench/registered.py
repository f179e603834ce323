"""The roles and scenarios of a toolkit: the built-in ones, then those of its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from magdr_core.bench.roles import ROLES
from magdr_core.bench.scenarios import SCENARIOS
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario


def roles(toolkit: Any) -> Mapping[str, Role]:
    """By name, in the order of the tables."""
    return MappingProxyType({**ROLES, **getattr(toolkit.host, "roles", {})})


def scenarios(toolkit: Any) -> Mapping[str, Scenario]:
    """By name, in the order of the tables."""
    return MappingProxyType({**SCENARIOS, **getattr(toolkit.host, "scenarios", {})})

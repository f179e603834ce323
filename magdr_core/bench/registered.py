"""The roles and scenarios of a toolkit: the built-in ones, then those of its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.bench.roles import ROLES
from magdr_core.bench.scenarios import SCENARIOS
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario


def roles(toolkit: Any) -> Mapping[str, Role]:
    """By name, in the order of the tables."""
    found: Mapping[str, Role] = getattr(toolkit.host, "roles", ROLES)
    return found


def scenarios(toolkit: Any) -> Mapping[str, Scenario]:
    """By name, in the order of the tables."""
    found: Mapping[str, Scenario] = getattr(toolkit.host, "scenarios", SCENARIOS)
    return found

"""The roles and scenarios of a toolkit: core's own, then those of the plugins that its registry names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario


def roles(toolkit: Any) -> Mapping[str, Role]:
    """By name, in the order of the tables."""
    found: Mapping[str, Role] = toolkit.host.roles
    return found


def scenarios(toolkit: Any) -> Mapping[str, Scenario]:
    """By name, in the order of the tables."""
    found: Mapping[str, Scenario] = toolkit.host.scenarios
    return found

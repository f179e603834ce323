"""The scenarios that core knows."""

from __future__ import annotations

from magdr_core.components.scenario import Scenario
from magdr_core.hosting.hookspecs import hookimpl

MAGDR_API = 1


@hookimpl
def magdr_scenarios() -> list[Scenario]:
    return []

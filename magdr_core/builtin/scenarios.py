"""The scenarios that core brings."""

from __future__ import annotations

from magdr_core.components.scenario import Scenario
from magdr_core.hosting.hookspecs import hookimpl

MAGDR_API = 1


@hookimpl
def magdr_scenarios() -> list[Scenario]:
    from magdr_core.bench.scenarios import SCENARIOS
    from magdr_core.bench.scenarios.channel import ChannelScenario
    from magdr_core.forensics.evasion import EvasionScenario
    from magdr_core.forensics.restoring import RestoredScenario
    from magdr_core.forensics.scenarios import ForgedScenario, QualityScenario

    forensic = [ForgedScenario(), QualityScenario(), EvasionScenario(), RestoredScenario()]
    return [*SCENARIOS.values(), *forensic, ChannelScenario()]  # it takes what others made, so it is last

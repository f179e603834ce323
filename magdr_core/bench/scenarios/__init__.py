"""Which images components are run on: one module a scenario.

Nothing above this room asks for a scenario by name; it walks over all of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from magdr_core.bench.scenarios.adaptive import AdaptiveScenario
from magdr_core.bench.scenarios.attack import AttackScenario
from magdr_core.bench.scenarios.benign import BenignScenario
from magdr_core.bench.scenarios.clean import CleanScenario
from magdr_core.bench.scenarios.noise import NoiseScenario
from magdr_core.bench.scenarios.noise_l2 import EqualNormNoiseScenario
from magdr_core.bench.scenarios.sweep import SweepScenario
from magdr_core.bench.scenarios.transfer import TransferScenario
from magdr_core.components.scenario import Scenario

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            CleanScenario(),
            AttackScenario(),
            TransferScenario(),
            SweepScenario(),
            AdaptiveScenario(),
            NoiseScenario(),
            EqualNormNoiseScenario(),
            BenignScenario(),
        )
    }
)
"""The built-in ones, in the order in which their slices are planned."""

"""Which images components are run on: one module a scenario.

Nothing above this room asks for a scenario by name; it walks over all of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from magdr_core.bench.scenarios.adaptive import Adaptive
from magdr_core.bench.scenarios.attack import Attack
from magdr_core.bench.scenarios.benign import Benign
from magdr_core.bench.scenarios.clean import Clean
from magdr_core.bench.scenarios.noise import Noise
from magdr_core.bench.scenarios.sweep import Sweep
from magdr_core.bench.scenarios.transfer import Transfer
from magdr_core.components.scenario import Scenario

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (Clean(), Attack(), Transfer(), Sweep(), Adaptive(), Noise(), Benign())
    }
)
"""The built-in ones, in the order in which their slices are planned."""

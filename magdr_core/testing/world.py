"""What surrounds a component under test: a toolkit whose registry holds the toys and the plugin."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from magdr_core.components.protocols import FitData, Setting
from magdr_core.components.specs import Need
from magdr_core.guards import GuardedGenerator
from magdr_core.hosting.manager import Entry, PluginHost, UnknownHookError
from magdr_core.registry.parsed import Instance
from magdr_core.registry.read import parse_registry
from magdr_core.results.store import Store
from magdr_core.testing.fit_data import make_fit_data
from magdr_core.toolkit import Toolkit

TOYS = "magdr-toys"
"""The plugin that toys are of, in a world."""

REGISTRY = """
[detector.evidence]
use = "magdr"
params = { criteria = ["toy"], augmentations = ["toy"] }

[calibration]
fit = 24
clean = 40
attacked = 6
train = 12
attacks = ["toy"]
"""


class World:
    """Builds components of a plugin among toys: small, quick components of every kind.

    Args:
        local: local plugins, by name, as a registry has them.
        base: where relative paths start.
        device: of everything.
    """

    def __init__(self, local: Mapping[str, str], *, base: Path, device: str = "cpu") -> None:
        read = parse_registry(REGISTRY, base / "conformance")
        self._instances = dict(read.instances)
        registry = replace(read, local={**read.local, **local}, instances=self._instances)
        self.toolkit = Toolkit(registry, device=device)
        self._has_toy: set[str] = set()
        self.make_toys()
        self._folder = tempfile.TemporaryDirectory(prefix="magdr-conformance-")

    @property
    def host(self) -> PluginHost:
        return self.toolkit.host

    @property
    def device(self) -> torch.device:
        return self.toolkit.device

    def load(self, namespace: str) -> None:
        """Load a plugin; if it has to do with a kind that nothing knows, all others too.

        Raises:
            PluginError: it cannot be loaded.
        """
        try:
            self.host.load(namespace)
        except UnknownHookError:
            self.host.load_all(name for name in self.host.available() if name != namespace)
            self.host.load(namespace)
        specs = [entry.spec for entry in self.host.entries() if entry.origin.namespace == namespace]
        needed = {need.kind for spec in specs for need in spec.needs.values()}
        lacking = any(isinstance(failure.error, UnknownHookError) for failure in self.host.failures)
        if lacking or not needed <= set(self.host.kinds):
            self.host.load_all(self.host.available())
        self.make_toys()

    def make_toys(self) -> None:
        """A component called "toy" of every kind that is known by now and has one."""
        for name, kind in self.host.kinds.items():
            if kind.toy is not None and name not in self._has_toy:
                spec = kind.toy()
                self._has_toy.add(name)
                self.host.add(TOYS, [spec])
                self.declare(name, "toy", f"{TOYS}/{spec.name}", {})

    @cached_property
    def generator(self) -> GuardedGenerator:
        return self.toolkit.generator("toy")

    @cached_property
    def fit_data(self) -> FitData:
        dataset, attack = self.toolkit.build("dataset", "toy"), self.toolkit.build("attack", "toy")
        return make_fit_data(dataset, self.generator, attack)

    def declare(self, kind: str, label: str, use: str, params: Mapping[str, Any]) -> None:
        """Add a table `[kind.label]`, which components under test can name."""
        self._instances[(kind, label)] = Instance(kind, label, use, params)

    def build(self, entry: Entry, params: Mapping[str, Any]) -> Any:
        """A guarded component; its needs are toys where `params` names none.

        Raises:
            RegistryError: a wrong parameter, or the factory failed.
        """
        label = self._declared(entry, params)
        return self.toolkit.build(entry.kind, label, **self._calibrated(entry, label))

    def settings(self, entry: Entry, params: Mapping[str, Any]) -> Sequence[Setting]:
        """Every setting of a component with a grid.

        Raises:
            RegistryError: a setting that the schema refuses.
        """
        return self.toolkit.family(self._declared(entry, params)).settings

    def _declared(self, entry: Entry, params: Mapping[str, Any]) -> str:
        needs = {name: _toys(need) for name, need in entry.spec.needs.items() if not need.optional}
        given = {**needs, **params}
        label = f"{entry.name} {given}"
        self.declare(entry.kind, label, entry.name, given)
        return label

    def _calibrated(self, entry: Entry, label: str) -> dict[str, Any]:
        """Detectors with thresholds, for those that need such."""
        wanted = [name for name, need in entry.spec.needs.items() if need.calibrated]
        if not wanted:
            return {}
        labels = self.toolkit.resolve(entry.kind, label).needs
        calibrator = self.toolkit.calibrator("toy", "toy", Store(Path(self._folder.name)))
        return {name: calibrator.detector(labels[name]) for name in wanted}


def _toys(need: Need) -> Any:
    # Whoever asks for a calibrated detector may look at MagDR's evidence, not only at its score.
    label: Any = "evidence" if need.calibrated else "toy"
    for _ in range(need.depth):
        label = [label]
    return label

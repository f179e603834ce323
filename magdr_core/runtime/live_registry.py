"""The live components of one registry: what it describes, built and guarded, on a device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, overload

from torch import nn

from magdr_core.components.protocols import Family
from magdr_core.components.rng import SampleRng
from magdr_core.components.specs import Need
from magdr_core.guards import (
    GuardedAttack,
    GuardedDefense,
    GuardedDetector,
    GuardedFinder,
    GuardedGenerator,
    GuardedImageMap,
    GuardedMetric,
    GuardedParser,
)
from magdr_core.guards.dataset import GuardedDataset
from magdr_core.hosting.manager import PluginHost
from magdr_core.registry.changes import Changes, Plugins
from magdr_core.registry.parsed import Instance, Registry
from magdr_core.registry.resolve import Resolved, Resolver
from magdr_core.runtime.builder import Builder
from magdr_core.runtime.device import device_of


class LiveRegistry:
    """Builds what a registry describes. Holds no global state: several may live in one process.

    Args:
        registry: a parsed registry.
        device: overrides the registry's; "auto" takes CUDA where there is one.
        block: further glob patterns of plugins that must not be imported.
        plugins: components made in Python, which the registry may use as `name/component`.
        changes: what replaces settings of the registry.

    Raises:
        RegistryError: there is no such device here, or a change is of a key that there is not.
        PluginError: a plugin in Python has a name that is taken.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        device: str | None = None,
        block: Iterable[str] = (),
        plugins: Plugins | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.block = tuple(block)
        self.plugins = {name: tuple(specs) for name, specs in (plugins or {}).items()}
        self.changes = changes or Changes()
        self.written = registry
        """The registry as it was given, without the changes."""
        self.resolver = Resolver(self.changes.applied(registry), self.block)
        for name, specs in self.plugins.items():
            self.host.add(name, specs)
        own = device or self.resolver.at("[registry]", lambda: str(device_of(registry.device)))
        self.device = device_of(own)
        self._builder = Builder(self.resolver, self.device)

    @property
    def registry(self) -> Registry:
        """What is built: the registry that was given, with the changes that were made in Python."""
        return self.resolver.registry

    @property
    def host(self) -> PluginHost:
        """The plugins of these components alone."""
        return self.resolver.host

    def resolve(self, kind: str, label: str) -> Resolved:
        """Check one component and everything it needs, without building it.

        Raises:
            RegistryError: unknown component or parameter, wrong type, missing weights, a circular need.
        """
        return self.resolver.resolve(kind, label)

    @overload
    def build(self, kind: Literal["dataset"], label: str, **injected: object) -> GuardedDataset: ...

    @overload
    def build(self, kind: Literal["generator"], label: str, **injected: object) -> GuardedGenerator: ...

    @overload
    def build(self, kind: Literal["parser"], label: str, **injected: object) -> GuardedParser: ...

    @overload
    def build(self, kind: Literal["attack"], label: str, **injected: object) -> GuardedAttack: ...

    @overload
    def build(self, kind: Literal["detector"], label: str, **injected: object) -> GuardedDetector: ...

    @overload
    def build(self, kind: Literal["defense"], label: str, **injected: object) -> GuardedDefense: ...

    @overload
    def build(self, kind: Literal["metric"], label: str, **injected: object) -> GuardedMetric: ...

    @overload
    def build(
        self, kind: Literal["restoration", "augmentation"], label: str, **injected: object
    ) -> GuardedImageMap: ...

    @overload
    def build(self, kind: str, label: str, **injected: object) -> Any: ...

    def build(self, kind: str, label: str, **injected: object) -> Any:
        """A live, guarded component, on the device; each call builds a new one.

        Args:
            kind, label: of a `[KIND.LABEL]` table, or a component's name as the label of none.
            injected: replaces needs by ready objects (core passes calibrated detectors this way).

        Raises:
            RegistryError: as `resolve`, or the factory failed.
        """
        return self._builder.build(kind, label, injected)

    def generator(self, task: str) -> GuardedGenerator:
        """The generator of a task, `(x [B,3,S,S] in [0,1], c) -> [B,3,S,S]`, whose passes are counted.

        Raises:
            RegistryError: as `build`.
        """
        return self.build("generator", task)

    def finder(self, label: str | None = None) -> GuardedFinder:
        """The finder of faces in one's own pictures, `(picture [3,H,W] uint8) -> [FoundFace, ...]`.

        Args:
            label: a `[finder.LABEL]` table or a finder's name; the registry's first if None, `cascade` if it
                has none.

        Raises:
            RegistryError: as `build`.
        """
        built: GuardedFinder = self.build("finder", label or self.registry.finder)
        return built

    def take_inner_passes(self) -> int:
        """Images that went through generators of components' own since this was last called."""
        return self._builder.take_inner_passes()

    def networks(self) -> Iterable[tuple[str, nn.Module]]:
        """The networks of all components that are alive, each with what errors call its owner."""
        return self._builder.networks()

    def family(self, restoration: str) -> Family:
        """Every setting of a restoration's grid, each an image map `[B,3,H,W] -> same`.

        Raises:
            RegistryError: as `build`; an empty grid, or one that is too large.
        """
        return self._builder.family(self.resolve("restoration", restoration))

    def family_identity(self, restoration: str) -> Any:
        """JSON-able: everything that can change the outputs of a restoration's settings, for keys."""
        return self.resolver.identities(Need("restoration", family=True), restoration, ())

    def sibling(self, kind: str, use: str, **params: Any) -> Any:
        """A component that no table declares (equal-strength noise of a benchmark).

        Args:
            use: as a table would say it.
            params: as a table's; the others have their defaults.

        Raises:
            RegistryError: a parameter that there is not, or a wrong value.
            PluginError: no such component.
        """
        instance = Instance(kind, use, use, params)
        return self._builder.make(self.resolver.check(instance, self.host.find(kind, use), ()))

    def drawn(self, dataset: str) -> bool:
        """Whether verdicts are calibrated on drawn faces: on this dataset, if no file is named."""
        if self.registry.calibration.file != "auto":
            return False
        return "synthetic" in self.resolve("dataset", dataset).entry.spec.tags

    def rng(self, component: str, ids: Iterable[str], seed: int | None = None) -> SampleRng:
        """Random streams for a component, on the device: one for each id, whatever the batch.

        Args:
            ids: names of B samples; `uniform(*shape)` of the streams is `[B,*shape]`.
            seed: the registry's if None.
        """
        seed = self.registry.seed if seed is None else seed
        return SampleRng(seed, component, list(ids), device=self.device)

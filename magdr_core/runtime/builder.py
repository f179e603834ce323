"""Builds what the resolver has checked: components with everything that they need, guarded, on a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from magdr_core.components.params import WeightsFile, marked_parameters
from magdr_core.components.protocols import Family, Setting
from magdr_core.components.specs import Need
from magdr_core.errors import BrokenPluginError, MagdrError
from magdr_core.guards import Guard, GuardedGenerator
from magdr_core.guards.accelerate import faster
from magdr_core.guards.base import modules_of
from magdr_core.isolation import global_random
from magdr_core.isolation.containment import contained
from magdr_core.isolation.shared_tensors import find_networks
from magdr_core.registry.resolve import Resolved, Resolver
from magdr_core.runtime.wrap import wrapped

UNTRAINED = 2**27
"""Weights that a network may have which is left at random: half a gigabyte. One with a file has its size."""


@contextmanager
def _bounded(most: int) -> Iterator[None]:
    """Raises MagdrError as soon as a network that is being built has more weights than that."""
    total = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal total
        total += parameter.numel()
        if total > most:
            raise MagdrError(
                f"an untrained network may have {most:,} weights, this one would have more; take a smaller "
                "width, or fewer blocks"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


class Builder:
    """Components of one registry on one device.

    Args:
        resolver: of the registry.
        device: where networks go, apart from such that run on a CPU only.
    """

    def __init__(self, resolver: Resolver, device: torch.device) -> None:
        self.resolver = resolver
        self.device = device
        self._inner_generators: WeakSet[GuardedGenerator] = WeakSet()
        self._built: WeakSet[Guard] = WeakSet()

    def build(self, kind: str, label: str, injected: Mapping[str, Any] | None = None) -> Any:
        """The component of a table; errors say which."""
        resolved = self.resolver.resolve(kind, label)
        place = self.resolver.place(resolved.instance)
        return self.resolver.at(place, lambda: self.make(resolved, injected))

    def make(self, resolved: Resolved, injected: Mapping[str, Any] | None = None) -> Any:
        """A resolved component, its needs built; `injected` ones are ready."""
        arguments = {**resolved.params, **self._injections(resolved, injected or {})}
        return self._guarded(resolved, self._construct(resolved, arguments))

    def family(self, resolved: Resolved) -> Family:
        """Every setting of a component with a grid, sharing what they need."""
        return self.resolver.at(self.resolver.place(resolved.instance), lambda: self._family(resolved))

    def take_inner_passes(self) -> int:
        """Images that went through generators that components need, since this was last called."""
        return sum(g.take_passes() for g in self._inner_generators)

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """Those of all components that are alive, each with what errors call its owner."""
        for guarded in list(self._built):
            for network in find_networks(guarded):
                yield guarded.where, network

    def _injections(self, resolved: Resolved, injected: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: injected[name] if name in injected else self._inject(need, resolved.needs[name])
            for name, need in resolved.entry.spec.needs.items()
        }

    def _inject(self, need: Need, labels: Any) -> Any:
        if labels is None:
            return None
        if not isinstance(labels, str):
            return tuple(self._inject(need, inner) for inner in labels)
        if need.family:
            return self.family(self.resolver.resolve(need.kind, labels))
        built = self.build(need.kind, labels)
        if isinstance(built, GuardedGenerator):
            self._inner_generators.add(built)
        return built

    def _family(self, resolved: Resolved) -> Family:
        shared = {**resolved.params, **self._injections(resolved, {})}
        settings = []
        for setting in self.resolver.settings(resolved):
            component = self._construct(resolved, {**shared, **setting})
            settings.append(Setting(setting, self._guarded(resolved, component)))
        return Family(resolved.instance.label, tuple(settings))

    def _construct(self, resolved: Resolved, arguments: Mapping[str, Any]) -> Any:
        spec = resolved.entry.spec
        random = any(arguments.get(name, "") is None for name in marked_parameters(spec.schema, WeightsFile))

        def build() -> Any:
            # Building a network draws initial weights; they are replaced or seeded, never left to chance,
            # and the caller's random state stays as it was.
            seed = self.resolver.registry.seed
            own = global_random.SeededDraws(seed) if global_random.others_run() else nullcontext()
            size = _bounded(UNTRAINED) if random else nullcontext()
            with torch.random.fork_rng(devices=[]), own, size:
                torch.default_generator.manual_seed(seed)
                return spec.build(**arguments)

        before = global_random.state(torch.device("cpu"))
        try:
            component = contained(_where(resolved), build, error=BrokenPluginError, failed="cannot be built")
        finally:
            global_random.restore(before)
        device = torch.device("cpu") if spec.device == "cpu" else self.device
        for module in modules_of(component):
            module.to(device)
        if isinstance(component, nn.Module):
            component.requires_grad_(False)
        elif hasattr(component, "device"):
            component.device = device
        return component

    def _guarded(self, resolved: Resolved, component: Any) -> Any:
        kind = self.resolver.host.kind(resolved.entry.kind)
        guarded = wrapped(kind, resolved, component, _where(resolved))
        if isinstance(guarded, GuardedGenerator):
            guarded.forward = faster(component, self.resolver.registry.speed, self.device)
        if isinstance(guarded, Guard):
            self._built.add(guarded)
        return guarded


def _where(resolved: Resolved) -> str:
    return f"{resolved.entry.kind} {resolved.entry.name} of {resolved.entry.origin}"

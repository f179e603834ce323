"""A registry plus its plugins: live, guarded components on a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magdr_core import guard
from magdr_core.calibration import Calibrator, Progress
from magdr_core.errors import MagdrError, PluginError, RegistryError, one_line
from magdr_core.magdr import MagDR
from magdr_core.pipeline import Pipeline
from magdr_core.plugins import PluginHost
from magdr_core.protocols import Family, Setting
from magdr_core.registry import Instance, Registry, default_registry, read_registry
from magdr_core.resolver import Resolved, Resolver
from magdr_core.rng import SampleRng
from magdr_core.specs import (
    AttackSpec,
    AugmentationSpec,
    GeneratorSpec,
    MetricSpec,
    Need,
    RestorationSpec,
)
from magdr_core.store import Store
from magdr_core.watch import modules_of
from magdr_core.weights import weights_folder


class Toolkit:
    """Builds what a registry describes. Holds no global state: several may live in one process.

    Args:
        registry: a parsed registry.
        device: overrides the registry's; "auto" takes CUDA where there is one.
        block: further glob patterns of plugins that must not be imported.
    """

    def __init__(self, registry: Registry, *, device: str | None = None, block: Iterable[str] = ()) -> None:
        self.resolver = Resolver(registry, block)
        self.device = _device(device or registry.device)

    @property
    def registry(self) -> Registry:
        return self.resolver.registry

    @property
    def host(self) -> PluginHost:
        return self.resolver.host

    def resolve(self, kind: str, label: str) -> Resolved:
        """Check one component and everything it needs, without building it.

        Raises:
            RegistryError: unknown component or parameter, wrong type, missing weights, a circular need.
        """
        return self.resolver.resolve(kind, label)

    @classmethod
    def from_registry(
        cls, path: Path | str | None = None, *, device: str | None = None, block: Iterable[str] = ()
    ) -> Toolkit:
        """Read a registry file (by default `./registry.toml`, else the packaged one) and prepare it.

        Raises:
            RegistryError: the file is missing or wrong.
        """
        return cls(read_registry(path or default_registry()), device=device, block=block)

    # -- building ---------------------------------------------------------------------------------------

    def build(self, kind: str, label: str, **injected: Any) -> Any:
        """A live, guarded component.

        Args:
            injected: replaces needs by ready objects (core passes calibrated detectors this way).

        Raises:
            RegistryError: as `resolve`, or the factory failed.
        """
        resolved = self.resolve(kind, label)
        place = self.resolver.place(resolved.instance)
        return self.resolver.at(place, lambda: self._build(resolved, injected))

    def _build(self, resolved: Resolved, injected: Mapping[str, Any]) -> Any:
        arguments = {**resolved.params, **self._injections(resolved, injected)}
        return self._guarded(resolved, self._construct(resolved, arguments))

    def _injections(self, resolved: Resolved, injected: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: injected[name] if name in injected else self._inject(need, resolved.needs[name])
            for name, need in resolved.entry.spec.needs.items()
        }

    def _construct(self, resolved: Resolved, arguments: Mapping[str, Any]) -> Any:
        try:
            # Building a network draws initial weights; they are replaced or seeded, never left to chance,
            # and the caller's random state stays as it was.
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(self.registry.seed)
                component = resolved.entry.spec.build(**arguments)
        except MagdrError:
            raise
        except Exception as e:
            raise PluginError(f"{self._where(resolved)}: cannot be built: {one_line(e)}") from e
        device = torch.device("cpu") if resolved.entry.spec.device == "cpu" else self.device
        for module in modules_of(component):
            module.to(device)
        if isinstance(component, nn.Module):
            component.requires_grad_(False)
        elif hasattr(component, "device"):
            component.device = device
        return component

    def _inject(self, need: Need, labels: Any) -> Any:
        if labels is None:
            return None
        if not isinstance(labels, str):
            return tuple(self._inject(need, inner) for inner in labels)
        if not need.family:
            return self.build(need.kind, labels)
        resolved = self.resolve(need.kind, labels)
        return self.resolver.at(self.resolver.place(resolved.instance), lambda: self._family(resolved))

    def _family(self, resolved: Resolved) -> Family:
        shared = {**resolved.params, **self._injections(resolved, {})}
        settings = []
        for setting in self.resolver.settings(resolved):
            component = self._construct(resolved, {**shared, **setting})
            settings.append(Setting(setting, self._guarded(resolved, component)))
        return Family(resolved.instance.label, tuple(settings))

    def _where(self, resolved: Resolved) -> str:
        return f"{resolved.entry.kind} {resolved.entry.name} of {resolved.entry.origin}"

    def _guarded(self, resolved: Resolved, component: Any) -> Any:
        guarded = self._wrapped(resolved, component)
        if isinstance(guarded, guard.Guard):
            guarded.label = resolved.instance.label
        return guarded

    def _wrapped(self, resolved: Resolved, component: Any) -> Any:
        spec, where = resolved.entry.spec, self._where(resolved)
        match spec:
            case MetricSpec():
                return guard.GuardedMetric(
                    component,
                    where,
                    higher_is_better=spec.higher_is_better,
                    to_distance=spec.to_distance,
                    conditional=spec.conditional,
                )
            case AugmentationSpec() | RestorationSpec():
                return guard.GuardedImageMap(component, where, stochastic=spec.stochastic)
            case GeneratorSpec():
                return guard.GuardedGenerator(
                    component, where, stochastic=spec.stochastic, objective=spec.objective
                )
            case AttackSpec():
                return guard.GuardedAttack(
                    component,
                    where,
                    eps=float(resolved.params["eps"]),
                    objective=resolved.instance.objective,
                    stochastic=spec.stochastic,
                )
        wrapper = _GUARDS.get(spec.kind)
        return component if wrapper is None else wrapper(component, where, stochastic=spec.stochastic)

    # -- conveniences -----------------------------------------------------------------------------------

    def generator(self, task: str) -> guard.GuardedGenerator:
        """The generator of a task (a `[generator.TASK]` table)."""
        built: guard.GuardedGenerator = self.build("generator", task)
        return built

    def family(self, restoration: str) -> Family:
        """Every setting of a restoration's grid."""
        resolved = self.resolve("restoration", restoration)
        return self.resolver.at(self.resolver.place(resolved.instance), lambda: self._family(resolved))

    def family_identity(self, restoration: str) -> Any:
        return self.resolver.identities(Need("restoration", family=True), restoration, ())

    def sibling(self, kind: str, use: str, **params: Any) -> Any:
        """A component that no table declares, with these parameters (equal-strength noise of a benchmark)."""
        instance = Instance(kind, use, use, params)
        entry = self.host.find(kind, use)
        return self._build(self.resolver.check(instance, entry, ()), {})

    def calibrator(
        self,
        task: str,
        dataset: str,
        store: Store,
        *,
        progress: Progress = lambda what, done, total: None,
    ) -> Calibrator:
        """Gives calibrated detectors and defenses of a task; see :class:`Calibrator`."""
        package = self.resolve("generator", task).entry.origin.package
        shipped = None if package is None else weights_folder(package)
        return Calibrator(self, task, dataset, store, shipped=shipped, progress=progress)

    def magdr(
        self,
        task: str,
        *,
        defense: str = "magdr",
        dataset: str | None = None,
        cache: Path | str = "runs/cache",
        progress: Progress = lambda what, done, total: None,
    ) -> Pipeline:
        """MagDR in front of a task's generator: detect, reconstruct, defend.

        A calibration that neither the registry nor the package nor `cache` holds is made first, which takes
        minutes on a CPU.

        Args:
            task: a `[generator.TASK]` table.
            defense: a `[defense.LABEL]` table with `use = "magdr"`.
            dataset: a `[dataset.LABEL]` table to calibrate on; the task's if None.
        """
        chosen = dataset or self.registry.dataset_of(task)
        calibrator = self.calibrator(task, chosen, Store(Path(cache)), progress=progress)
        guarded = calibrator.defense(defense)
        if not isinstance(guarded.component, MagDR):
            raise RegistryError(f"[defense.{defense}] is not a MagDR (use = 'magdr')")
        return Pipeline(calibrator.generator, guarded.component)

    def rng(self, component: str, ids: Iterable[str], seed: int | None = None) -> SampleRng:
        """Random streams for a component, on this toolkit's device."""
        return SampleRng(
            self.registry.seed if seed is None else seed, component, list(ids), device=self.device
        )


_GUARDS: dict[str, type[guard.Guard]] = {
    "parser": guard.GuardedParser,
    "detector": guard.GuardedDetector,
    "defense": guard.GuardedDefense,
}


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RegistryError(f"device {name!r} is not one of auto, cpu, cuda, cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RegistryError(f"device {name!r}: CUDA is not available here; use --device cpu")
    return device

"""A registry plus its plugins: live, guarded components on a device."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magdr_core import guard
from magdr_core.calibration import Calibrator, Progress
from magdr_core.errors import MagdrError, PluginError, RegistryError, one_line, suggestion
from magdr_core.identity import digest
from magdr_core.magdr import MagDR
from magdr_core.params import validate, weights_parameters
from magdr_core.pipeline import Pipeline
from magdr_core.plugins import Entry, PluginHost
from magdr_core.protocols import Family, Setting
from magdr_core.registry import Instance, Registry, default_registry, read_registry
from magdr_core.rng import SampleRng
from magdr_core.specs import (
    AttackSpec,
    AugmentationSpec,
    MetricSpec,
    Need,
    RestorationSpec,
)
from magdr_core.store import Store
from magdr_core.weights import file_sha256, resolve_weights, weights_folder


@dataclass(frozen=True)
class Resolved:
    """A registry table, checked against its component's schema, with everything it needs.

    Attributes:
        params: validated values; weight files as paths.
        needs: by parameter name, the labels (nested as declared) of the components to inject.
        identity: everything that can change the component's outputs; the hash of it goes into result keys.
    """

    instance: Instance
    entry: Entry
    params: Mapping[str, Any]
    needs: Mapping[str, Any]
    identity: Mapping[str, Any]

    @property
    def key(self) -> str:
        return digest(self.identity)


class _Placed(RegistryError):
    """A fault whose message names the registry's file and table already."""


class Toolkit:
    """Builds what a registry describes. Holds no global state: several may live in one process.

    Args:
        registry: a parsed registry.
        device: overrides the registry's; "auto" takes CUDA where there is one.
        block: further glob patterns of plugins that must not be imported.
    """

    def __init__(self, registry: Registry, *, device: str | None = None, block: Iterable[str] = ()) -> None:
        self.registry = registry
        self.device = _device(device or registry.device)
        self.host: PluginHost = self._at(
            "[plugins]",
            lambda: PluginHost(
                local=registry.local, block=(*registry.block, *block), base=registry.path.parent
            ),
        )
        self._resolved: dict[tuple[str, str], Resolved] = {}
        for namespace in registry.use:
            self._at("[plugins] use", partial(self.host.load, namespace))

    @classmethod
    def from_registry(
        cls, path: Path | str | None = None, *, device: str | None = None, block: Iterable[str] = ()
    ) -> Toolkit:
        """Read a registry file (by default `./registry.toml`, else the packaged one) and prepare it.

        Raises:
            RegistryError: the file is missing or wrong.
        """
        return cls(read_registry(path or default_registry()), device=device, block=block)

    # -- resolving --------------------------------------------------------------------------------------

    def _at(self, table: str, action: Callable[[], Any]) -> Any:
        """Run `action` so that its faults name the registry's file and the innermost table."""
        try:
            return action()
        except _Placed:
            raise
        except MagdrError as e:
            place = f"{self.registry.path.name} {table}".rstrip()
            raise _Placed(f"{place}: {one_line(e)}") from e

    def resolve(self, kind: str, label: str) -> Resolved:
        """Check one component and everything it needs, without building it.

        Raises:
            RegistryError: unknown component or parameter, wrong type, missing weights, a circular need.
        """
        known = self._resolved.get((kind, label))
        if known is None:
            known = self._at("", lambda: self._resolve(kind, label, ()))
            self._resolved[(kind, label)] = known
        return known

    def _resolve(self, kind: str, label: str, above: tuple[str, ...]) -> Resolved:
        instance = self.registry.instance(kind, label)
        place = self._place(instance)
        if (kind, label) in self.registry.instances:
            return self._at(place, lambda: self._check(instance, self.host.find(kind, instance.use), above))
        # A label without a table must be a component; whoever misspelt it may have meant either.
        entry = self.host.find(kind, label, self.registry.labels(kind))
        return self._at(place, lambda: self._check(instance, entry, above))

    def _place(self, instance: Instance) -> str:
        declared = (instance.kind, instance.label) in self.registry.instances
        return instance.table if declared else f"{instance.kind} {instance.label!r}"

    def _check(self, instance: Instance, entry: Entry, above: tuple[str, ...]) -> Resolved:
        mark = f"{instance.kind}.{instance.label}"
        if mark in above:
            raise RegistryError(f"needs itself through {' -> '.join([*above, mark])}")
        spec = entry.spec
        if spec.missing:
            remedy = f"; pip install {spec.extra!r}" if spec.extra else ""
            raise RegistryError(f"{entry.name} needs {', '.join(spec.missing)}, not installed here{remedy}")
        given = dict(instance.params)
        if instance.use == "magdr":
            self._check_composition()
            accepted = {*spec.needs, *spec.schema.model_fields}
            given = {k: v for k, v in self.registry.composition.items() if k in accepted} | given
        wanted = {name: given.pop(name, None) for name in spec.needs}
        params = validate(spec.schema, given, entry.name)
        weights: dict[str, str] = {}
        for name in weights_parameters(spec.schema):
            reference = params[name]
            params[name] = resolve_weights(
                reference, package=entry.origin.package, base=self.registry.path.parent
            )
            weights[name] = reference if params[name] is None else file_sha256(params[name])
        needs, inner = {}, {}
        for name, need in spec.needs.items():
            needs[name] = self._labels(name, need, wanted[name])
            inner[name] = self._identities(need, needs[name], (*above, mark))
        identity = {
            "kind": instance.kind,
            "use": entry.name,
            "version": spec.version,
            "source": entry.origin.source_hash or f"{entry.origin.distribution} {entry.origin.version}",
            "params": {k: weights.get(k, v) for k, v in params.items()},
            "needs": inner,
        }
        if instance.kind == "attack":
            identity["objective"] = instance.objective
        return Resolved(instance, entry, params, needs, identity)

    def _check_composition(self) -> None:
        """Every key of `[magdr]` must be a parameter or a need of MagDR's detector or defense."""
        specs = [self.host.find(kind, "magdr").spec for kind in ("detector", "defense")]
        known = {name for spec in specs for name in (*spec.needs, *spec.schema.model_fields)}
        for name in self.registry.composition:
            if name not in known:
                hint = suggestion(name, known)
                raise _Placed(f"{self.registry.path.name} [magdr]: this table has no key {name!r}{hint}")

    def _labels(self, name: str, need: Need, given: Any) -> Any:
        """The labels that fill a need: the table's, else `[magdr]`'s, else the registry's only choice."""
        value = given if given is not None else self.registry.composition.get(name)
        if value is None and need.depth == 0:
            declared = self.registry.labels(need.kind)
            if not declared:
                raise RegistryError(f"needs a {need.kind} ({name}); none is declared")
            value = declared[0]
        if value is None:
            raise RegistryError(f"needs {name}: a list of {need.kind} labels")
        if not _nested_labels(value, need.depth):
            form = ["a label", "a list of labels", "a list of lists of labels"][need.depth]
            raise RegistryError(f"{name} = {value!r}: expected {form}")
        return value

    def _identities(self, need: Need, labels: Any, above: tuple[str, ...]) -> Any:
        if not isinstance(labels, str):
            return [self._identities(need, inner, above) for inner in labels]
        resolved = self._resolve(need.kind, labels, above)
        if not need.family:
            return resolved.identity
        settings = self._at(self._place(resolved.instance), lambda: self._settings(resolved))
        return {"base": resolved.identity, "settings": settings}

    def _settings(self, resolved: Resolved) -> list[dict[str, Any]]:
        """Every setting of a restoration's grid, validated: the table's grid, else the spec's without what
        the table's params fix; one empty setting (its own params) where nothing is left to choose."""
        spec = resolved.entry.spec
        assert isinstance(spec, RestorationSpec)
        own = {k: v for k, v in resolved.instance.params.items() if k not in spec.needs}
        grid = resolved.instance.grid
        if grid is None:
            grid = {k: v for k, v in spec.grid.items() if k not in own}
        settings = []
        for values in itertools.product(*grid.values()):
            setting = dict(zip(grid, values, strict=True))
            checked = validate(spec.schema, {**own, **setting}, resolved.entry.name)
            settings.append({name: checked[name] for name in setting})
        if not settings:
            raise RegistryError(f"the grid of {resolved.entry.name} has no setting: an empty list")
        return settings

    # -- building ---------------------------------------------------------------------------------------

    def build(self, kind: str, label: str, **injected: Any) -> Any:
        """A live, guarded component.

        Args:
            injected: replaces needs by ready objects (core passes calibrated detectors this way).

        Raises:
            RegistryError: as `resolve`, or the factory failed.
        """
        resolved = self.resolve(kind, label)
        return self._at(self._place(resolved.instance), lambda: self._build(resolved, injected))

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
        for module in guard.modules_of(component):
            module.to(device)
        if isinstance(component, nn.Module):
            component.requires_grad_(False)
        elif hasattr(component, "device"):
            component.device = device
        return component

    def _inject(self, need: Need, labels: Any) -> Any:
        if not isinstance(labels, str):
            return tuple(self._inject(need, inner) for inner in labels)
        if not need.family:
            return self.build(need.kind, labels)
        resolved = self.resolve(need.kind, labels)
        return self._at(self._place(resolved.instance), lambda: self._family(resolved))

    def _family(self, resolved: Resolved) -> Family:
        shared = {**resolved.params, **self._injections(resolved, {})}
        settings = []
        for setting in self._settings(resolved):
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
                )
            case AugmentationSpec() | RestorationSpec():
                return guard.GuardedImageMap(component, where, stochastic=spec.stochastic)
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
        return self._at(self._place(resolved.instance), lambda: self._family(resolved))

    def family_identity(self, restoration: str) -> Any:
        return self._identities(Need("restoration", family=True), restoration, ())

    def sibling(self, kind: str, use: str, **params: Any) -> Any:
        """A component that no table declares, with these parameters (equal-strength noise of a benchmark)."""
        instance = Instance(kind, use, use, params)
        entry = self.host.find(kind, use)
        return self._build(self._check(instance, entry, ()), {})

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
            dataset: a `[dataset.LABEL]` table to calibrate on; the first one if None.
        """
        labels = self.registry.labels("dataset")
        chosen = dataset or (labels[0] if labels else "procedural-faces")
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
    "generator": guard.GuardedGenerator,
    "parser": guard.GuardedParser,
    "detector": guard.GuardedDetector,
    "defense": guard.GuardedDefense,
}


def _nested_labels(value: Any, depth: int) -> bool:
    if depth == 0:
        return isinstance(value, str)
    several = isinstance(value, list | tuple) and bool(value)
    return several and all(_nested_labels(v, depth - 1) for v in value)


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

"""Checking registry tables against their components' schemas, and what everything depends on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from magdr_core.components.factories import find_factory
from magdr_core.components.fingerprints import digest
from magdr_core.components.params import (
    FromRegistry,
    WeightsFile,
    WrittenInPython,
    marked_parameters,
    marks,
    validate,
)
from magdr_core.components.specs import Need
from magdr_core.components.weights import file_sha256, resolve_weights
from magdr_core.errors import MagdrError, RegistryError, one_line, suggestion
from magdr_core.files.remote import is_remote
from magdr_core.files.remote_folder import fetched_folder, is_hub_folder
from magdr_core.files.user_files import user_path
from magdr_core.hosting.discovery import BUILTIN
from magdr_core.hosting.manager import Entry, PluginHost
from magdr_core.magdr.chains import chain_count
from magdr_core.registry.composition import default_of
from magdr_core.registry.parsed import Instance, Registry
from magdr_core.registry.plugin_tables import completed, needs_plugins
from magdr_core.short_repr import in_short

SETTINGS = 128
"""Settings of one restoration's grid; each is a candidate that Rec-Net tries on every image."""

CHAINS = 10_000
"""Restorations and chains of them that a calibration may try; each runs on all of its images."""

PARTS = 10_000
"""Components inside one component; best-of of best-of grows with every level by a factor."""


@dataclass(frozen=True)
class Resolved:
    """A registry table, checked against its component's schema, with everything it needs.

    Attributes:
        params: validated values; weight files as paths.
        needs: by parameter name, the labels (nested as declared) of the components to inject.
        identity: everything that can change the component's outputs; the hash of it goes into result keys.
        defaults: the needs, its own and those of components inside it, that only the defaults of `[magdr]`
            fill.
    """

    instance: Instance
    entry: Entry
    params: Mapping[str, Any]
    needs: Mapping[str, Any]
    identity: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return digest(self.identity)

    def __repr__(self) -> str:
        given = "".join(f", {name}={in_short(value)}" for name, value in self.params.items())
        return f"<Resolved {self.instance.table}: {self.entry.name}{given}>"


class PlacedError(RegistryError):
    """A fault whose message names the registry's file and table already."""


class Resolver:
    """A registry and the plugins that it names; builds nothing.

    Args:
        registry: a parsed registry.
        block: further glob patterns of plugins that must not be imported.
    """

    def __init__(self, registry: Registry, block: Iterable[str] = ()) -> None:
        self.registry = registry
        self.host: PluginHost = self.at(
            "[plugins]",
            lambda: PluginHost(
                local=registry.local, block=(*registry.block, *block), base=registry.path.parent
            ),
        )
        self._resolved: dict[tuple[str, str], Resolved] = {}
        self._parts = 0
        self._load_plugins()

    def _load_plugins(self) -> None:
        """Those that are to be loaded at once: what `use` names, and `local` ones too where the registry says
        something that core does not know.

        Raises:
            RegistryError: one of `use` is broken; nobody knows what the registry says (a broken local plugin
                may have been the one, so that is told too).
        """
        unknown = needs_plugins(self.registry)
        faults = self.host.load_all([*self.registry.use, *(self.registry.local if unknown else ())])
        for namespace in self.registry.use:
            if namespace in faults:
                self.at("[plugins] use", partial(self.host.load, namespace))
        if unknown:
            try:
                self.registry = completed(self.registry, self.host)
            except RegistryError as e:
                broken = "".join(f"; not loaded: {one_line(fault)}" for fault in faults.values())
                raise PlacedError(f"{e}{broken}") from None

    def at(self, table: str, action: Callable[[], Any]) -> Any:
        """Run `action` so that its faults name the registry's file and the innermost table."""
        try:
            return action()
        except PlacedError:
            raise
        except MagdrError as e:
            place = f"{self.registry.file_of(table)} {table}".rstrip()
            raise PlacedError(f"{place}: {one_line(e)}") from e

    def resolve(self, kind: str, label: str) -> Resolved:
        """Check one component and everything it needs, without building it.

        Raises:
            RegistryError: unknown component or parameter, wrong type, missing weights, a circular need.
        """
        known = self._resolved.get((kind, label))
        if known is None:
            self._parts = 0
            known = self.at("", lambda: self._resolve(kind, label, ()))
            self._resolved[(kind, label)] = known
        return known

    def _resolve(self, kind: str, label: str, above: tuple[str, ...]) -> Resolved:
        instance = self.registry.instance(kind, label)
        place = self.place(instance)
        self._parts += 1
        if self._parts > PARTS:
            raise RegistryError(f"{' -> '.join(above[:3])}: needs more than {PARTS:,} components in all")
        if (kind, label) in self.registry.instances:
            return self.at(place, lambda: self.check(instance, self.host.find(kind, instance.use), above))
        # A label without a table must be a component; whoever misspelt it may have meant either.
        entry = self.host.find(kind, label, self.registry.labels(kind))
        return self.at(place, lambda: self.check(instance, entry, above))

    def place(self, instance: Instance) -> str:
        declared = (instance.kind, instance.label) in self.registry.instances
        return instance.table if declared else f"{instance.kind} {instance.label!r}"

    def check(self, instance: Instance, entry: Entry, above: tuple[str, ...]) -> Resolved:
        mark = f"{instance.kind}.{instance.label}"
        if mark in above:
            raise RegistryError(f"needs itself through {' -> '.join([*above, mark])}")
        spec = entry.spec
        if spec.missing:
            remedy = f"; pip install {spec.extra!r}" if spec.extra else ""
            raise RegistryError(f"{entry.name} needs {', '.join(spec.missing)}, not installed here{remedy}")
        given = dict(instance.params)
        if spec.composed:
            self._check_composition()
            accepted = {*spec.needs, *spec.schema.model_fields}
            given = {k: v for k, v in self.registry.composition.items() if k in accepted} | given
        wanted = {name: given.pop(name, None) for name in spec.needs}
        params = validate(spec.schema, given, entry.name)
        base = self.registry.path.parent
        if instance.base:
            base = user_path(instance.base, base, error=RegistryError, what="base")
        told: dict[str, str] = {}  # what the identity says of files, whose places do not matter
        for name, folder in marks(spec.schema, FromRegistry).items():
            place = params[name]
            if folder.hub and is_hub_folder(place):
                if name not in given:  # a user knows what is fetched
                    raise RegistryError(f'fetches nothing that no table names: write {name} = "{place}"')
                told[name] = place.partition("#")[2].lower()
                params[name] = str(fetched_folder(place, folder.hub))
                continue
            told[name] = place
            params[name] = str(user_path(place, base, error=RegistryError, what=name)) if place else ""
        for name, file in marks(spec.schema, WeightsFile).items():
            reference = params[name]
            if is_remote(reference) and name not in given:  # a user knows what is fetched
                raise RegistryError(f'fetches nothing that no table names: write {name} = "{reference}"')
            package, within = entry.origin.package, file.within
            params[name] = resolve_weights(reference, package=package, base=base, within=within)
            told[name] = reference if params[name] is None else file_sha256(params[name])
        for name in marked_parameters(spec.schema, WrittenInPython):
            params[name] = find_factory(params[name], base, name)
            told[name] = params[name].identity
        needs, inner = {}, {}
        defaults: dict[str, Any] = {}
        for name, need in spec.needs.items():
            needs[name], by_default = self._labels(name, need, wanted[name])
            if by_default:
                defaults[name] = needs[name]
            inner[name] = self.identities(need, needs[name], (*above, mark), defaults)
            if need.family and need.depth == 2 and inner[name] is not None:
                _check_search(name, inner[name])
        kept = {k: v for k, v in inner.items() if v is not None or not spec.needs[k].later}
        identity = {
            "kind": instance.kind,
            "use": entry.name,
            "version": spec.version,
            "source": entry.origin.source,
            "params": {k: told.get(k, v) for k, v in params.items()},
            "needs": kept,
        }
        identity.update(self.host.kind(instance.kind).identity(spec, instance))
        return Resolved(instance, entry, params, needs, identity, defaults)

    def composed(self) -> list[Entry]:
        """The components that `[magdr]` is for: the built-in ones, and those of plugins that are loaded."""
        self.host.load(BUILTIN)
        return [entry for entry in self.host.entries() if entry.spec.composed]

    def _check_composition(self) -> None:
        """Every key of `[magdr]` must be a parameter or a need of a component that it is for."""
        specs = [entry.spec for entry in self.composed()]
        known = {name for spec in specs for name in (*spec.needs, *spec.schema.model_fields)}
        for name in self.registry.composition:
            if name not in known:
                hint = suggestion(name, known)
                raise PlacedError(
                    f"{self.registry.file_of('[magdr]')} [magdr]: this table has no key {name!r}{hint}"
                )

    def _labels(self, name: str, need: Need, given: Any) -> tuple[Any, bool]:
        """The labels that fill a need: the table's, else `[magdr]`'s, else the registry's only choice, else
        the default of `[magdr]`; and whether it is that default.

        An optional need is left open where nothing names a label, or an empty list or text says so.
        """
        value = given if given is not None else self.registry.composition.get(name)
        if need.optional and value in (None, "", []):
            return None, False
        if value is None and need.depth == 0:
            value = next(iter(self.registry.labels(need.kind)), None)
        by_default = value is None
        if by_default:
            value = default_of(name, need)
        if value is None and need.depth == 0:
            raise RegistryError(f"needs a {need.kind} ({name}); none is declared")
        if value is None:
            raise RegistryError(f"needs {name}: a list of {need.kind} labels")
        if not _nested_labels(value, need.depth):
            form = ["a label", "a list of labels", "a list of lists of labels"][need.depth]
            raise RegistryError(f"{name} = {value!r}: expected {form}")
        return value, by_default

    def identities(
        self, need: Need, labels: Any, above: tuple[str, ...], defaults: dict[str, Any] | None = None
    ) -> Any:
        """The identities of the components of these labels, nested as they are.

        Args:
            defaults: gets what these components take from the defaults of `[magdr]`.
        """
        if labels is None:
            return None
        if not isinstance(labels, str):
            return [self.identities(need, inner, above, defaults) for inner in labels]
        resolved = self._resolve(need.kind, labels, above)
        if defaults is not None:
            defaults.update(resolved.defaults)
        if any(n.calibrated for n in resolved.entry.spec.needs.values()):
            # Core calibrates what a profile names, not what stands inside another component.
            raise RegistryError(f"{need.kind} {labels!r} needs a calibrated detector; it cannot stand here")
        if not need.family:
            return resolved.identity
        settings = self.at(self.place(resolved.instance), lambda: self.settings(resolved))
        return {"base": resolved.identity, "settings": settings}

    def settings(self, resolved: Resolved) -> list[dict[str, Any]]:
        """Every setting of a component's grid, validated: as its kind reads table and spec; one empty setting
        (its own params) where nothing is left to choose.

        Raises:
            RegistryError: its kind has no grids, or this one is empty, too large or wrong.
        """
        spec, kind = resolved.entry.spec, self.host.kind(resolved.entry.kind)
        if kind.grid is None:
            raise RegistryError(f"a {kind.name} has no settings to choose from")
        own = {k: v for k, v in resolved.instance.params.items() if k not in spec.needs}
        grid = kind.grid(spec, resolved.instance)
        count = math.prod(len(values) for values in grid.values())
        if count > SETTINGS:
            name = resolved.entry.name
            raise RegistryError(f"the grid of {name} has {count:,} settings, at most {SETTINGS} are tried")
        settings = []
        for values in itertools.product(*grid.values()):
            setting = dict(zip(grid, values, strict=True))
            checked = validate(spec.schema, {**own, **setting}, resolved.entry.name)
            settings.append({name: checked[name] for name in setting})
        if not settings:
            raise RegistryError(f"the grid of {resolved.entry.name} has no setting: an empty list")
        return settings


def _nested_labels(value: Any, depth: int) -> bool:
    if depth == 0:
        return isinstance(value, str)
    several = isinstance(value, list | tuple) and bool(value)
    return several and all(_nested_labels(v, depth - 1) for v in value)


def _check_search(name: str, layers: list[list[Mapping[str, Any]]]) -> None:
    """Raises RegistryError for layers of restorations that no calibration would get through."""
    tried = sum(len(member["settings"]) for layer in layers for member in layer)
    tried += chain_count([len(layer) for layer in layers])
    if tried > CHAINS:
        shown = f"{tried:,}" if tried < 10**9 else f"{tried:.1e}" if tried < 1e300 else "over 1e300"
        raise RegistryError(
            f"{name}: {len(layers)} layers make {shown} chains of restorations, at most {CHAINS:,}; take "
            "fewer layers, or fewer restorations in each"
        )

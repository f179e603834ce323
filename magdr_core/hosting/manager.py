"""Loading and registering plugins, with every fault attributed to its plugin.

pluggy keeps the hook implementations; what it does not do is here: a stable order, blocking before the
import, version checks, roll-back of a plugin whose specs are wrong, and surviving a plugin that is broken.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pluggy

from magdr_core.components.fingerprints import source_of
from magdr_core.components.kind import Kind
from magdr_core.components.recipe import Recipe
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario
from magdr_core.components.specs import ComponentSpec
from magdr_core.errors import BrokenPluginError, PluginError, one_line, suggestion
from magdr_core.files.python_files import import_file
from magdr_core.files.user_files import user_path
from magdr_core.hosting import extensions, hookspecs, observers
from magdr_core.hosting.core import core_modules
from magdr_core.hosting.discovery import (
    BUILTIN,
    Origin,
    import_plugin,
    installed_plugins,
    origin_of,
    owner_of,
    plugin_modules,
)
from magdr_core.hosting.entries import Entry, collect
from magdr_core.hosting.hook_manager import HookManager
from magdr_core.hosting.hookspecs import MAGDR_API
from magdr_core.isolation import interrupts
from magdr_core.isolation.containment import imported
from magdr_core.isolation.process_state import named
from magdr_core.isolation.shared_code import SharedCode


class UnknownHookError(BrokenPluginError):
    """A plugin has a hook that nothing knows: misspelt, or of a kind whose plugin is not loaded yet."""


@dataclass(frozen=True)
class Failure:
    """A module of a package that could not be loaded; `again` tries once more."""

    plugin: str
    error: PluginError
    again: Callable[[], None] | None = None


class PluginHost:
    """The plugins of one toolkit. Two hosts in one process share nothing but imported modules, and what those
    of this package give.

    Args:
        local: name to a file (relative to `base`) or a dotted module.
        block: glob patterns of plugin ids that must not be imported; `MAGDR_BLOCK` (comma-separated) adds
            to them.
        base: folder of the registry.
    """

    def __init__(
        self, *, local: Mapping[str, str] | None = None, block: Iterable[str] = (), base: Path | None = None
    ) -> None:
        self.manager = HookManager()
        self.manager.add_hookspecs(hookspecs)
        for plugin, module in core_modules().items():
            self.manager.register(module, name=plugin)
        self._extensions = extensions.Extensions(self.manager)
        self.base = base or Path.cwd()
        self.local = dict(local or {})
        if BUILTIN in self.local:
            raise PluginError(f"a local plugin cannot be called {BUILTIN!r}; give it another name")
        from_env = [p.strip() for p in os.environ.get("MAGDR_BLOCK", "").split(",") if p.strip()]
        self.block = (*block, *from_env)
        self.failures: list[Failure] = []
        self._entries: dict[tuple[str, str], Entry] = {}
        self._order: list[str] = []
        self._loaded: set[str] = set()
        self._broken: dict[str, BrokenPluginError] = {}
        self._roots: dict[str, ModuleType] = {}
        self._installed, self._claimed_twice = installed_plugins()

    # -- looking up -------------------------------------------------------------------------------------

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of component by name; core's first, then those of the plugins that are loaded."""
        return self._extensions.values(extensions.KINDS)

    @property
    def roles(self) -> Mapping[str, Role]:
        """What benchmarks ask of components, by name; core's first."""
        return self._extensions.values(extensions.ROLES)

    @property
    def scenarios(self) -> Mapping[str, Scenario]:
        """The images that benchmarks run components on, by name; core's first."""
        return self._extensions.values(extensions.SCENARIOS)

    @property
    def commands(self) -> Mapping[str, click.Command]:
        """The commands of the command line by name; core's first."""
        return self._extensions.values(extensions.COMMANDS)

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """What can be trained, by name; core's first."""
        return self._extensions.values(extensions.RECIPES)

    def kind(self, name: str) -> Kind:
        """Raises PluginError (with a suggestion) if no plugin that is loaded has brought it."""
        if name not in self.kinds:
            raise PluginError(f"no kind {name!r}{suggestion(name, self.kinds)}")
        return self.kinds[name]

    def find(self, kind: str, reference: str, also: Iterable[str] = ()) -> Entry:
        """The component that `use = reference` means.

        Args:
            also: further names that a misspelt reference may have meant.

        Raises:
            PluginError: no such kind, plugin or component (with a suggestion), blocked, or its plugin is
                broken.
        """
        namespace, _, name = reference.rpartition("/")
        namespace = namespace or BUILTIN
        self.load(namespace)
        entry = self._entries.get((kind, reference))
        if entry is not None:
            return entry
        wanted = f"{namespace}.{self.kind(kind).plural}.{name.replace('-', '_')}"
        raised = BrokenPluginError if any(f.plugin == wanted for f in self.failures) else PluginError
        raise raised(
            f"no {kind} named {reference!r}{self._why_absent(kind, namespace, name, reference, also)}"
        )

    def _why_absent(self, kind: str, namespace: str, name: str, reference: str, also: Iterable[str]) -> str:
        """If a blocked or broken plugin module bears the wanted name, that; else a guess."""
        folder = f"{namespace}.{self.kind(kind).plural}."
        wanted = folder + name.replace("-", "_")
        absent = dict.fromkeys(self.blocked_modules(namespace), "blocked")
        for failure in self.failures:
            if failure.plugin == wanted:
                return f": {one_line(failure.error)}"
            absent[failure.plugin] = "broken"
        if wanted in absent:
            return f": its plugin {wanted!r} is blocked"
        text = suggestion(reference, [*(e.name for e in self.entries(kind)), *also])
        lost = [f"{plugin} ({why})" for plugin, why in absent.items() if plugin.startswith(folder)]
        return f"{text}; not loaded: {', '.join(sorted(lost))}" if lost else text

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All registered components, sorted by kind and name."""
        kinds = list(self.kinds)
        found = [e for e in self._entries.values() if kind in (None, e.kind)]
        return sorted(found, key=lambda e: (kinds.index(e.kind), e.name))

    def available(self) -> list[str]:
        """Names of all plugins that could be loaded, local ones and built-ins first."""
        return [BUILTIN, *sorted(self.local), *sorted(set(self._installed) - {BUILTIN, *self.local})]

    def is_blocked(self, plugin: str) -> bool:
        return any(fnmatch.fnmatchcase(plugin, pattern) for pattern in self.block)

    def distribution_of(self, kind: str) -> str:
        """The installed distribution that brings a kind; empty for core's and for local plugins'."""
        return self._extensions.owner(extensions.KINDS, kind).distribution

    # -- loading ----------------------------------------------------------------------------------------

    def load(self, namespace: str) -> None:
        """Import and register a plugin once. A module of a package that fails is recorded, not raised.

        Raises:
            PluginError: no such plugin, blocked as a whole, claimed by two distributions, or (a plugin of
                one module) broken.
        """
        if namespace in self._loaded:
            return
        if namespace in self._broken:
            raise self._broken[namespace]
        try:
            self._load(namespace)
        except BrokenPluginError as e:
            self._broken[namespace] = e  # whoever asks again must not run it again
            raise
        self._loaded.add(namespace)

    def _load(self, namespace: str) -> None:
        if self.is_blocked(namespace):
            raise PluginError(f"plugin {namespace!r} is blocked")
        if namespace in self.local:
            self._load_local(namespace)
        elif namespace in self._claimed_twice:
            owners = " and ".join(sorted(self._claimed_twice[namespace]))
            raise PluginError(f"plugin name {namespace!r} is claimed by {owners}; uninstall one of them")
        elif namespace in self._installed:
            self._load_installed(namespace, self._installed[namespace])
        else:
            raise PluginError(f"no plugin named {namespace!r}{suggestion(namespace, self.available())}")

    def add(self, namespace: str, specs: Iterable[ComponentSpec]) -> None:
        """Register components that were made in Python, as `namespace/name`.

        Each is keyed by its factory's `fingerprint`, if it has one, else by the source file that the factory
        was written in; what was typed into a shell is keyed by chance, so nothing of it is found again.

        Raises:
            PluginError: the namespace or a name is taken, or something is not a spec.
        """
        if namespace in self.available():
            raise PluginError(f"a plugin is called {namespace!r} already; give these another name")
        for number, spec in enumerate(specs):
            kind = next((k for k in self.kinds.values() if type(spec) is k.spec), None)
            if kind is None:
                raise PluginError(f"plugin {namespace!r}: expected component specs, got {spec!r}")
            module = ModuleType(f"{namespace}.{number}")
            hook = hookspecs.hookimpl(lambda spec=spec: [spec], specname=kind.hook)
            vars(module).update(MAGDR_API=MAGDR_API, provide=hook)
            file, digest = source_of(spec.build)
            plugin = f"{namespace}.{kind.plural}.{spec.name}"
            self.register(module, Origin(plugin, namespace, "", "", file, None, digest))
        self._loaded.add(namespace)

    def _load_local(self, namespace: str) -> None:
        target = self.local[namespace]
        if not target.endswith(".py"):
            root = self._import(namespace, target, lambda: importlib.import_module(target))
            self._load_package(root, namespace, None)
            return
        what = f"plugin {namespace!r}: local file"
        path = user_path(target, self.base, error=PluginError, what=what).resolve()
        if not path.is_file():
            raise PluginError(f"{what} {target!r} {'is no file' if path.exists() else 'does not exist'}")
        source = path.read_bytes()
        digest = hashlib.sha256(source).hexdigest()
        # The name holds the place, so that two registries may call different files by one name.
        name = f"magdr_local_{namespace}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        module = self._import(namespace, target, lambda: import_file(name, path))
        self.register(module, Origin(namespace, namespace, "", "", str(path), None, digest))

    def _load_installed(self, namespace: str, ep: EntryPoint) -> None:
        self._load_package(self._import(namespace, ep.value, ep.load), namespace, owner_of(ep))

    def _load_package(self, root: ModuleType, namespace: str, owner: tuple[str, str] | None) -> None:
        """A module, or a package with plugin modules in folders: the ones that bring kinds first."""
        self._roots[namespace] = root
        names = plugin_modules(root, self.folders())
        if hasattr(root, "MAGDR_API") or not names:
            self.register(root, origin_of(root, namespace, namespace, owner))
        first = [name for name in names if name.startswith("kinds.")]
        for plugin in first:
            self._load_module(f"{namespace}.{plugin}", names[plugin], namespace, owner)
        for plugin, module_name in plugin_modules(root, self.folders()).items():
            if plugin not in first:
                self._load_module(f"{namespace}.{plugin}", module_name, namespace, owner)

    def _load_module(
        self, plugin: str, module_name: str, namespace: str, owner: tuple[str, str] | None
    ) -> None:
        """One module of a package; what is wrong with it is recorded."""
        if self.is_blocked(plugin):
            return
        try:
            module = self._import(plugin, module_name, partial(importlib.import_module, module_name))
            self.register(module, origin_of(module, plugin, namespace, owner))
        except PluginError as e:
            again = partial(self._load_module, plugin, module_name, namespace, owner)
            self.failures.append(Failure(plugin, e, again))

    def _import(self, plugin: str, target: str, load: Callable[[], ModuleType]) -> ModuleType:
        """Import a module; what it replaces in magdr's own is put back.

        Raises:
            PluginError: it cannot be imported, is no module, or has replaced something.
        """
        if plugin.split(".", 1)[0] == BUILTIN:
            # A module that is there already runs nothing, and each toolkit asks for a hundred.
            there = sys.modules.get(target)
            return there if isinstance(there, ModuleType) else import_plugin(plugin, target, load)

        def watched() -> ModuleType:
            code = SharedCode(libraries=False)  # anew: what others have changed before is not its fault
            code.add()
            module = None
            try:
                module = load()
                return module
            finally:
                if replaced := code.restore():
                    sys.modules.pop(getattr(module, "__name__", ""), None)  # as of one that raises
                    raise RuntimeError(f"changes {named(replaced)}")

        return import_plugin(plugin, target, watched)

    def folders(self) -> list[str]:
        """Where plugin modules of a package are: by what their hooks give."""
        own = [sort.hook.removeprefix("magdr_") for sort in extensions.SORTS]
        return [*own, *(kind.plural for kind in self.kinds.values())]

    def load_all(self, namespaces: Iterable[str]) -> dict[str, PluginError]:
        """Load several plugins, whichever brings the kind of another's components.

        Returns:
            By plugin, the faults of those that cannot be loaded; those of a package's modules are in
            `failures`.
        """
        names = list(namespaces)
        faults: dict[str, PluginError] = {}
        known = -1
        while names and len(self.kinds) > known:
            known = len(self.kinds)
            for name in list(names):
                try:
                    self.load(name)
                except UnknownHookError as e:
                    faults[name] = e
                except PluginError as e:
                    faults[name] = e
                    names.remove(name)
                else:
                    faults.pop(name, None)
                    names.remove(name)
        return faults

    def _try_again(self) -> None:
        """What had a hook that nothing knew may have it now."""
        lacking = {name for name, e in self._broken.items() if isinstance(e, UnknownHookError)}
        self._broken = {name: e for name, e in self._broken.items() if name not in lacking}
        failures, self.failures = self.failures, []
        for failure in failures:
            if isinstance(failure.error, UnknownHookError) and failure.again is not None:
                failure.again()
            else:
                self.failures.append(failure)

    def blocked_modules(self, namespace: str) -> list[str]:
        """Ids of a loaded package's modules that are blocked."""
        root = self._roots.get(namespace)
        names = plugin_modules(root, self.folders()) if root is not None else {}
        return [f"{namespace}.{n}" for n in names if self.is_blocked(f"{namespace}.{n}")]

    # -- registering ------------------------------------------------------------------------------------

    def register(self, module: ModuleType, origin: Origin) -> None:
        """Register a module's hooks and collect its components; all of it or nothing.

        Raises:
            PluginError: wrong API version, unknown hook, wrong return value, a name taken twice.
        """
        where = f"plugin {origin.plugin!r} ({Path(origin.file).name or 'no file'})"
        declared = getattr(module, "MAGDR_API", None)
        if declared != MAGDR_API:
            said = "does not declare MAGDR_API" if declared is None else f"declares MAGDR_API = {declared}"
            raise BrokenPluginError(f"{where}: {said}, this core speaks {MAGDR_API}")
        if self.manager.has_plugin(origin.plugin):
            raise PluginError(f"{where}: is registered already")
        staged = extensions.Staged()
        unknown: list[str] = []
        try:
            self.manager.register(module, name=origin.plugin)
            owner = extensions.Owner(origin.namespace, str(origin), origin.distribution)
            staged = self._extensions.stage(origin.plugin, owner, where, imported)
            callers = self.manager.get_hookcallers(module) or []
            unknown = [caller.name for caller in callers if not caller.has_spec()]
            self.manager.check_pending()
            new = collect(self.manager, origin, where, {**self.kinds, **staged.kinds}, self._entries)
        except BaseException as e:
            if self.manager.has_plugin(origin.plugin):
                self.manager.unregister(name=origin.plugin)
            self._extensions.drop(staged)
            if isinstance(e, PluginError) or interrupts.is_users(e):
                raise
            raised = UnknownHookError if unknown else BrokenPluginError
            raise raised(f"{where}: {one_line(e)}") from e
        self._extensions.keep(staged)
        self._entries.update(new)
        self._order.append(origin.plugin)
        if staged.kinds:
            self._try_again()

    # -- events -----------------------------------------------------------------------------------------

    def notify(self, event: str, report: Callable[[str], None], **values: Any) -> bool:
        """Call an event hook of every plugin in the order of registration, each with copies of its own.

        Whatever goes wrong in there is reported, and ends nothing.

        Returns:
            Whether anything has.
        """
        return observers.notify(self.manager, self._order, event, report, values)

    def add_observer(self, observer: object, name: str) -> None:
        """Register an object with event hooks (the progress bar and the report are such)."""
        self.manager.register(observer, name=name)
        try:
            self.manager.check_pending()  # else a misspelt hook would be blamed on the next plugin
        except pluggy.PluginValidationError:
            self.manager.unregister(name=name)
            raise

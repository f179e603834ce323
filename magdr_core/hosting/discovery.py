"""Where plugins come from: entry points, modules of a package, single files."""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from magdr_core.errors import BrokenPluginError, one_line
from magdr_core.isolation import interrupts

GROUP = "magdr"
BUILTIN = "builtin"


@dataclass(frozen=True)
class Origin:
    """Where a plugin module comes from."""

    plugin: str
    namespace: str
    distribution: str
    version: str
    file: str
    package: str | None
    source_hash: str = ""

    @property
    def source(self) -> str:
        """Which code a component is, for the keys of results: the hash of a file, the release of a package.

        Built-ins have neither. Their `version` alone tells one state of their code from another, so that a
        release that leaves their outputs alone keeps every calibration and every stored result; recorded
        outputs (`tests/recorded`) see to it that the version is raised when they do change.
        """
        if self.namespace == BUILTIN:
            return BUILTIN
        return self.source_hash or f"{self.distribution} {self.version}"

    def __str__(self) -> str:
        dist = f"{self.distribution} {self.version}".strip() or Path(self.file).name or "local file"
        return f"{self.plugin} ({dist})"


def installed_plugins() -> tuple[dict[str, EntryPoint], dict[str, set[str]]]:
    """Entry points by name, and the names that two distributions claim with their owners."""
    found: dict[str, EntryPoint] = {}
    owners: dict[str, set[str]] = {}
    for ep in sorted(entry_points(group=GROUP), key=lambda ep: (ep.name, ep.value)):
        dist = ep.dist.name if ep.dist is not None else "?"
        if ep.name == BUILTIN and dist != "magdr":
            continue  # an installed package never changes what a bare name means
        owners.setdefault(ep.name, set()).add(dist)
        found[ep.name] = ep
    return found, {name: dists for name, dists in owners.items() if len(dists) > 1}


def plugin_modules(root: ModuleType, folders: Iterable[str]) -> dict[str, str]:
    """Plugin modules of a package laid out in folders by kind: `attacks.pgd` -> full module name.

    Args:
        folders: those that plugin modules are in, such as `attacks`.

    Sub-packages and modules with a leading underscore are helpers.
    """
    modules = {}
    for folder in getattr(root, "__path__", ()):
        for name in folders:
            for info in pkgutil.iter_modules([str(Path(folder, name))]):
                if not info.ispkg and not info.name.startswith("_"):
                    modules[f"{name}.{info.name}"] = f"{root.__name__}.{name}.{info.name}"
    return dict(sorted(modules.items()))


def import_plugin(plugin: str, target: str, load: Callable[[], ModuleType]) -> ModuleType:
    """Import a plugin's module.

    Raises:
        PluginError: whatever goes wrong in there, or what is loaded is no module.
    """
    from magdr_core.isolation.containment import imported  # it needs torch, and this file is read without

    try:
        module = imported(load)
        if not isinstance(module, ModuleType):
            raise TypeError(f"a plugin is a module, this is a {type(module).__name__}")
        return module
    except BaseException as e:  # a plugin that calls sys.exit() must not end the program either
        if interrupts.is_users(e):
            raise
        raise BrokenPluginError(f"plugin {plugin!r} ({target}): cannot be imported: {one_line(e)}") from e


def owner_of(ep: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that an entry point is of; empty if unknown. Each is parsed from a
    file."""
    return ("", "") if ep.dist is None else (ep.dist.name, ep.dist.version)


def origin_of(module: ModuleType, plugin: str, namespace: str, owner: tuple[str, str] | None) -> Origin:
    """Where a module of an installed package, or of a dotted name, comes from.

    Args:
        owner: the package's distribution, its name and version; None of a dotted name, whose components are
            keyed by the content of their file.
    """
    package = (module.__package__ or module.__name__).partition(".")[0]
    file = getattr(module, "__file__", "") or ""
    local = owner is None and file.endswith(".py")
    return Origin(
        plugin=plugin,
        namespace=namespace,
        distribution=owner[0] if owner is not None else "",
        version=owner[1] if owner is not None else "",
        file=file,
        package=package,
        source_hash=hashlib.sha256(Path(file).read_bytes()).hexdigest() if local else "",
    )

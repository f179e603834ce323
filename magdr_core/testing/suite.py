"""The conformance suite: every component of a plugin against every rule of its kind."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magdr_core.errors import PluginError, suggestion
from magdr_core.hosting.manager import BUILTIN, Entry, PluginHost
from magdr_core.testing.checks import BUILDS, Broken, Check, Component, rules_of
from magdr_core.testing.subject import Subject
from magdr_core.testing.world import World

LOADS = "loads"
TOLERANCE = 1e-5

Params = Mapping[tuple[str, str], Mapping[str, Any]]


def conformance_checks(
    plugin: str | Path,
    *,
    params: Params | None = None,
    tolerance: float = TOLERANCE,
    device: str = "cpu",
) -> list[Check]:
    """Every check of a plugin, to be called one by one or handed to `pytest.mark.parametrize`.

    Args:
        plugin: an installed plugin's name, a plugin file (`./acme_median.py`), or a dotted module.
        params: by (kind, name), parameters to use instead of the defaults: where a dataset's pictures
            are, say. Needs are named by label; `"toy"` is a small component of every kind.
        tolerance: by how much an image's result may depend on its batch.
        device: where components and pictures are.

    A plugin that cannot be loaded gives one check, which fails and says why.
    """
    target = locate(plugin)
    world = World(target.local, base=target.base, device=device)
    return checks_in(world, target, params=params, tolerance=tolerance)


def checks_in(
    world: World, target: CheckedPlugin, *, params: Params | None = None, tolerance: float = TOLERANCE
) -> list[Check]:
    """The checks of a plugin that is known to a world."""
    host, namespace = world.host, target.namespace
    file = _file_of(host, namespace, target.base)
    try:
        world.load(namespace)
    except PluginError as e:
        return [Check(Broken(namespace, file, e), LOADS)]
    broken = [Check(Broken(f.plugin, file, f.error), LOADS) for f in host.failures]
    entries = [e for e in host.entries() if e.origin.namespace == namespace and target.means(e)]
    if not entries and not broken:
        error = PluginError(f"plugin {namespace!r} provides no component")
        broken = [Check(Broken(namespace, file, error), LOADS)]
    for entry in entries:
        broken += checks_of(entry, world, (params or {}).get((entry.kind, entry.name), {}), tolerance)
    return broken


def checks_of(
    entry: Entry, world: World, params: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE
) -> list[Check]:
    """The checks of one component."""
    judged = Component(Subject(entry, world, params or {}, tolerance=tolerance))
    return [
        Check(judged, name)
        for name in (BUILDS, *(rule.name for rule in rules_of(world.host.kind(entry.kind))))
    ]


@dataclass(frozen=True)
class CheckedPlugin:
    """What is to be checked.

    Attributes:
        namespace: the plugin's name.
        local: local plugins that are needed for it, as a registry has them.
        base: folder that they are relative to.
        only: one component's name, as in `use`; empty for all.
    """

    namespace: str
    local: Mapping[str, str]
    base: Path
    only: str = ""

    def means(self, entry: Entry) -> bool:
        return self.only in ("", entry.name)


def locate(
    plugin: str | Path, local: Mapping[str, str] | None = None, base: Path | None = None
) -> CheckedPlugin:
    """What a text means: a plugin file, a plugin's name, a component's name, or a dotted module.

    Args:
        local: local plugins of a registry, which count too: they may bring the kind of a component.
        base: the registry's folder.

    Raises:
        PluginError: none of these.
    """
    text, local, base = str(plugin), dict(local or {}), base or Path.cwd()
    if text.endswith(".py"):
        path = Path(text).expanduser().resolve()
        if not path.is_file():
            raise PluginError(f"plugin file {text!r} does not exist")
        return CheckedPlugin(path.stem, {**from_anywhere(local, base), path.stem: path.name}, path.parent)
    host = PluginHost(local=local, base=base)
    known = host.available()
    if text in known:
        return CheckedPlugin(text, local, base)
    namespace = text.rpartition("/")[0]
    if namespace in known:
        return CheckedPlugin(namespace, local, base, only=text)
    host.load(BUILTIN)
    names = {entry.name for entry in host.entries()}
    if text in names:
        return CheckedPlugin(BUILTIN, {}, base, only=text)
    if not namespace and _is_module(text):
        last = text.rpartition(".")[2]
        return CheckedPlugin(last, {last: text}, base)
    raise PluginError(f"no plugin or component named {text!r}{suggestion(text, [*known, *names])}")


def from_anywhere(local: Mapping[str, str], base: Path) -> dict[str, str]:
    """Local plugins with the places of their files written out."""
    return {name: str(base / target) if target.endswith(".py") else target for name, target in local.items()}


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _file_of(host: PluginHost, namespace: str, base: Path) -> str:
    target = host.local.get(namespace, "")
    return str(base / target) if target.endswith(".py") else target

"""Commands of the command line: core's, and those of installed plugins, found without torch.

Only plugins whose text mentions the hook `magdr_commands` are imported, and only where a command is listed
that core does not have: an installed plugin neither slows other commands down nor breaks them.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import click

from magdr_core.errors import one_line
from magdr_core.hosting.core import core_module, core_owner
from magdr_core.hosting.discovery import BUILTIN, installed_plugins
from magdr_core.hosting.hookspecs import MAGDR_API
from magdr_core.isolation import interrupts

HOOK = "magdr_commands"


@dataclass
class Commands:
    """What `magdr` can be followed by.

    Attributes:
        core: core's own, by name.
        plugins: those of plugins, by plugin and name.
        faults: what is wrong with plugins that bring commands, a line each.
    """

    core: dict[str, click.Command]
    plugins: dict[str, dict[str, click.Command]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def find(self, name: str) -> click.Command | None:
        """The command of that name, if there is one."""
        everything = [self.core, *self.plugins.values()]
        return next((commands[name] for commands in everything if name in commands), None)

    def names(self) -> list[str]:
        return [name for commands in (self.core, *self.plugins.values()) for name in commands]


def core_commands() -> dict[str, click.Command]:
    """Core's own, by name."""
    return {command.name: command for command in core_module("commands").magdr_commands()}


def all_commands(block: Iterable[str] = ()) -> Commands:
    """Core's commands and those of all installed plugins.

    Args:
        block: glob patterns of plugins that must not be imported; `MAGDR_BLOCK` adds to them.
    """
    found = Commands(core_commands())
    owners = {name: core_owner("core.commands") for name in found.core}
    patterns = [*block, *(p.strip() for p in os.environ.get("MAGDR_BLOCK", "").split(",") if p.strip())]
    installed, claimed_twice = installed_plugins()
    for plugin, ep in sorted(installed.items()):
        if plugin == BUILTIN or plugin in claimed_twice or _blocked(plugin, patterns):
            continue
        for name, module in _modules(plugin, ep).items():
            if not _blocked(name, patterns):
                _add(found, owners, plugin, name, module)
    return found


def _blocked(plugin: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(plugin, pattern) for pattern in patterns)


def _modules(plugin: str, ep: EntryPoint) -> dict[str, str]:
    """Modules of a plugin whose text mentions the hook: id -> full name. Imports nothing."""
    root = ep.value.partition(":")[0].strip()
    top, *inner = root.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return {}
    if spec is None:
        return {}
    places = [Path(place, *inner) for place in spec.submodule_search_locations or ()]
    files = {plugin: root}
    texts = {plugin: [Path(spec.origin)] if spec.origin and not inner else []}
    for place in places:
        texts[plugin] += [place / "__init__.py", place.with_suffix(".py")]
        for file in sorted(place.glob("commands/[!_]*.py")):
            name = f"{plugin}.commands.{file.stem}"
            files[name], texts[name] = f"{root}.commands.{file.stem}", [file]
    return {name: module for name, module in files.items() if any(map(_mentions, texts[name]))}


def _mentions(file: Path) -> bool:
    try:
        return file.is_file() and HOOK.encode() in file.read_bytes()
    except OSError:
        return False


def _add(found: Commands, owners: dict[str, str], plugin: str, name: str, place: str) -> None:
    """Import one module and add its commands; or say what is wrong with it."""
    try:
        module = importlib.import_module(place)
        commands = _given(module)
    except BaseException as e:  # a plugin that calls sys.exit() must not end the program either
        if interrupts.is_users(e):
            raise
        found.faults.append(f"plugin {name!r} ({place}): its commands cannot be had: {one_line(e)}")
        return
    for command in commands:
        called = command.name or ""
        if called in owners:
            said = f"command {called!r} is already provided by {owners[called]}"
            found.faults.append(f"plugin {name!r} ({place}): {said}")
            continue
        owners[called] = f"{name} ({place})"
        found.plugins.setdefault(plugin, {})[called] = command


def _given(module: ModuleType) -> list[click.Command]:
    hook = getattr(module, HOOK, None)
    if hook is None:
        return []
    declared = getattr(module, "MAGDR_API", None)
    if declared != MAGDR_API:
        raise TypeError(f"declares MAGDR_API = {declared}, this core speaks {MAGDR_API}")
    commands = hook()
    if not isinstance(commands, list | tuple) or not all(isinstance(c, click.Command) for c in commands):
        raise TypeError(f"{HOOK} must return a list of click.Command")
    if unnamed := [c for c in commands if not c.name]:
        raise TypeError(f"{HOOK} returned a command without a name: {unnamed[0]!r}")
    return list(commands)

"""Observers that a command is told of by name: those of plugins' folders `observers`, and single files."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from magdr_core.errors import PluginError, suggestion
from magdr_core.files.python_files import import_file
from magdr_core.hosting.discovery import BUILTIN, import_plugin, installed_plugins, plugin_modules
from magdr_core.hosting.hookspecs import MAGDR_API

FOLDER = "observers"
"""Of a plugin's package. Modules in it are loaded when they are asked for, and never else."""


def observer_named(name: str) -> ModuleType:
    """The module with event hooks that a name means, ready to be added to a host.

    Args:
        name: `NAME` of a built-in one, `PLUGIN/NAME` of an installed plugin's, or a file that ends in `.py`.
            A module may say `REQUIRES`, importable names that it needs, and `EXTRA`, what brings them.

    Raises:
        PluginError: there is none, it cannot be imported, or what it needs is not installed.
    """
    module = _of_file(Path(name)) if name.endswith(".py") else _of_plugin(name)
    declared = getattr(module, "MAGDR_API", None)
    if declared != MAGDR_API:
        raise PluginError(f"observer {name!r}: declares MAGDR_API = {declared}, this core speaks {MAGDR_API}")
    missing = [need for need in getattr(module, "REQUIRES", ()) if importlib.util.find_spec(need) is None]
    if missing:
        extra = getattr(module, "EXTRA", " ".join(missing))
        raise PluginError(
            f"observer {name!r} needs {', '.join(missing)}, which is not installed: pip install {extra!r}"
        )
    return module


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"observer {str(path)!r} {'is no file' if path.exists() else 'does not exist'}")
    name = f"magdr_observer_{path.stem}"
    return import_plugin(path.stem, str(path), lambda: import_file(name, path.resolve()))


def _of_plugin(name: str) -> ModuleType:
    plugin, _, own = name.rpartition("/")
    plugin = plugin or BUILTIN
    found, _ = installed_plugins()
    if plugin not in found:
        raise PluginError(f"observer {name!r}: no plugin {plugin!r} is installed{suggestion(plugin, found)}")
    root = import_plugin(plugin, found[plugin].value, found[plugin].load)
    modules = {k.removeprefix(f"{FOLDER}."): v for k, v in plugin_modules(root, [FOLDER]).items()}
    if own not in modules:
        of = "" if plugin == BUILTIN else f" of plugin {plugin!r}"
        raise PluginError(f"no observer {own!r}{of}{suggestion(own, modules)}")
    target = modules[own]
    return import_plugin(name, target, lambda: importlib.import_module(target))

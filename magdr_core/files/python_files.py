"""Python files and modules that a user names: found without running them, and imported."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from magdr_core.errors import MagdrError


def import_file(name: str, path: Path) -> ModuleType:
    """The module in a file, under a name that nothing else has."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MagdrError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def file_of_module(name: str) -> Path | None:
    """The file of a module by its dotted name. Neither it nor the packages that it is in are imported; None
    if there is no such file."""
    path: Sequence[str] | None = None
    parts = name.split(".")
    spec = None
    for depth in range(1, len(parts) + 1):
        whole = ".".join(parts[:depth])
        found = (finder.find_spec(whole, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((one for one in found if one is not None), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and depth < len(parts):
            return None  # a module that is no package has nothing inside
    file = None if spec is None or not spec.has_location else spec.origin
    return Path(file) if file and Path(file).is_file() else None

"""`include` of a registry: another registry's tables below one's own.

One level deep. A table of the including file replaces the included table of that name whole; nothing is
merged inside a table. What comes out is a registry that needs no other file but those that its tables name.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magdr_core.components.kind import RESERVED
from magdr_core.errors import RegistryError, brief, suggestion
from magdr_core.files.user_files import parse_toml, read_text, user_path

PREFIX = "builtin:"


def packaged_file(name: str) -> Path:
    """A data file of the package, by name."""
    return Path(str(importlib.resources.files("magdr_core"))) / "data" / name


def packaged_registry() -> Path:
    """The registry that the package brings, `builtin:faces64`."""
    return packaged_file("registry.toml")


BUILTIN = {"faces64": "registry.toml", "photos": "photos.toml"}
"""By name, registries that need no path, as files of the package."""

PACKAGED = f"{PREFIX}faces64"
"""How a registry's `include` calls the packaged one."""


@dataclass(frozen=True)
class Included:
    """A registry file that another one includes.

    Attributes:
        name: as errors call it: what the including file says.
        folder: where relative paths in it start, from the including file's folder; empty if it is the same.
        data: its tables, as its own file has them.
    """

    name: str
    folder: str
    text: str
    data: dict[str, Any]


def builtin_registry(reference: str, place: str = "") -> Path:
    """The file of `builtin:NAME`.

    Args:
        place: where it is named, in front of the error.

    Raises:
        RegistryError: there is none of that name.
    """
    name = reference.removeprefix(PREFIX)
    if name not in BUILTIN:
        known = suggestion(reference, [PREFIX + one for one in BUILTIN])
        raise RegistryError(f"{place}{brief(reference)}: there is no such registry{known}")
    return packaged_file(BUILTIN[name])


def read_included(reference: str, by: Path) -> Included:
    """The registry that `by` includes.

    Raises:
        RegistryError: there is none of that name, it cannot be read, or it includes another one itself.
    """
    place = f"{by.name} [registry]: include"
    if reference.startswith(PREFIX):
        path, folder = builtin_registry(reference, f"{place} = "), ""
    else:
        path = user_path(reference, by.parent, error=RegistryError, what=place)
        parent = str(Path(reference).parent)
        folder = "" if parent == "." else parent
    text = read_text(path, error=RegistryError, subject=f"{place} = {brief(reference)}:")
    data = parse_toml(text, error=RegistryError, subject=f"{reference}:")
    header = data.get("registry", {})
    if isinstance(header, dict) and header.get("include"):
        raise RegistryError(
            f"{reference} [registry]: include: a file that is included ({by.name} does it) includes no other"
        )
    return Included(reference, folder, text, data)


def merged(own: Mapping[str, Any], included: Included) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of both files, the included ones first, and by dotted name the file of each included one.

    Both files have been checked: whatever should be a table is one.
    """
    below = _moved(included.data, included.folder)
    result: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in dict.fromkeys(["registry", *below, *own]):
        if name == "registry":  # name and seed are those of the file that is run
            result[name] = {key: value for key, value in own["registry"].items() if key != "include"}
        elif name not in RESERVED or name == "profile":  # tables of tables: a kind's components, profiles
            result[name] = {**below.get(name, {}), **own.get(name, {})}
            kept = [label for label in below.get(name, {}) if label not in own.get(name, {})]
            origins |= {f"{name}.{label}": included.name for label in kept}
        elif name in own:
            result[name] = own[name]
        else:
            result[name] = below[name]
            origins[name] = included.name
    return result, origins


def _moved(data: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The same tables for a file elsewhere, from where `folder` leads to theirs."""
    result = dict(data)
    if not folder:
        return result
    for kind in data.keys() - set(RESERVED):
        result[kind] = {label: _component(table, folder) for label, table in data[kind].items()}
    if "local" in data.get("plugins", {}):
        local = {
            name: _placed(target, folder) if target.endswith(".py") else target
            for name, target in data["plugins"]["local"].items()
        }
        result["plugins"] = {**data["plugins"], "local": local}
    told = data.get("calibration", {})
    files = {key: told[key] for key in ("file", "reals") if _is_path(told.get(key, ""))}
    if files:
        result["calibration"] = {**told, **{key: _placed(path, folder) for key, path in files.items()}}
    return result


def _is_path(named: str) -> bool:
    return named not in ("auto", "") and not named.startswith(PREFIX)


def _component(table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Which of a component's texts are paths, only its plugin knows; so the table says where they start."""
    if any(isinstance(value, str) for value in table.get("params", {}).values()):
        return {**table, "base": _placed(table.get("base", "."), folder)}
    return dict(table)


def _placed(path: str, folder: str) -> str:
    """A path that starts at `folder`; one from `~`, a variable or the root starts there."""
    return path if path.startswith(("~", "$")) else str(Path(folder, path))

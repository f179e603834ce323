"""registry.toml -> a frozen :class:`Registry`. Imports no plugin; only the file's own structure is checked.

Tables `[kind.label]` are one component each. There are no expressions, and one kind of inheritance:
`[registry] include` names a file whose tables stand below one's own (:mod:`magdr_core.registry.include`). The
registry's text then is the resolved one: what it says is what runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from magdr_core.components.kind import RESERVED, Kind
from magdr_core.components.params import ParameterError, validate
from magdr_core.errors import RegistryError, brief, suggestion
from magdr_core.files.names import LONGEST, unsafe
from magdr_core.files.toml_text import to_toml
from magdr_core.files.user_files import parse_toml, read_text
from magdr_core.guards.accelerate import Speed
from magdr_core.hosting.core import core_kinds, core_profile_keys
from magdr_core.hosting.hookspecs import MAGDR_API
from magdr_core.registry.include import (
    PREFIX,
    builtin_registry,
    merged,
    packaged_registry,
    read_included,
)
from magdr_core.registry.parsed import Instance, Registry
from magdr_core.registry.settings import (
    CalibrationPolicy,
    EngineSettings,
    Globs,
    Profile,
    ProfileTable,
)

_LABEL = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")


class _Header(BaseModel):
    api: int = MAGDR_API
    name: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"
    include: str = ""
    files: str = ""


class _Plugins(BaseModel):
    local: dict[str, str] = {}
    block: Globs = ()
    use: Globs = ()


class _Component(BaseModel):
    use: str = ""
    params: dict[str, Any] = {}
    base: str = ""


def default_registry() -> Path:
    """`./registry.toml` if there is one, else the copy in the package."""
    here = Path("registry.toml")
    return here if here.is_file() else packaged_registry()


def read_registry(path: Path | str) -> Registry:
    """Read and check a registry file, or one of the package by `builtin:NAME`.

    Raises:
        RegistryError: missing file, not TOML, unknown table or key, wrong type; one line with the place.
    """
    path = builtin_registry(str(path)) if str(path).startswith(PREFIX) else Path(path)
    try:
        text = read_text(path, error=RegistryError, subject=f"registry {str(path)!r}")
    except RegistryError as e:
        start = "; `magdr init` writes one to start from" if str(e).endswith("does not exist") else ""
        raise RegistryError(f"{e}{start}") from None
    return parse_registry(text, path)


def parse_registry(text: str, path: Path) -> Registry:
    """The registry in a text, with the one that it includes; `path` is where relative paths start and what
    errors name.

    Raises:
        RegistryError: as :func:`read_registry`; a fault in the included file names that file.
    """
    data = parse_toml(text, error=RegistryError, subject=f"{path.name}:")
    named = _names_plugins(data)
    own, include = Reader(path, plugins=named or _includes(data)).registry(text, data)
    if not include:
        return own
    included = read_included(include, path)
    named = named or _names_plugins(included.data)
    Reader(path, included.name, plugins=named).registry(included.text, included.data)
    together, origins = merged(data, included)
    resolved = to_toml(together)
    registry, _ = Reader(path, plugins=_names_plugins(together)).registry(resolved, together)
    return replace(registry, origins=MappingProxyType(origins))


def _names_plugins(data: Mapping[str, Any]) -> bool:
    """Whether a registry names plugins, which may know more tables and keys than core."""
    plugins = data.get("plugins")
    return isinstance(plugins, dict) and bool(plugins.get("local") or plugins.get("use"))


def _includes(data: Mapping[str, Any]) -> bool:
    header = data.get("registry")
    return isinstance(header, dict) and bool(header.get("include"))


def no_such_table(file: str, name: str, known: Iterable[str]) -> RegistryError:
    if name in _Header.model_fields:  # a key above all tables, most likely: `include = ...`
        return RegistryError(f"{file}: {name!r} is a key of [registry]: write it below that line")
    return RegistryError(f"{file}: unknown table {_shown(name)}{suggestion(name, known)}")


def no_such_key(name: str, known: Iterable[str]) -> str:
    return f"this table has no key {brief(name)}{suggestion(name, known)}"


class Reader:
    """Checks tables.

    Args:
        path: of the registry.
        name: of the file, in errors.
        plugins: tables and profiles' keys that core does not know are left for plugins.
    """

    def __init__(self, path: Path, name: str = "", *, plugins: bool = False) -> None:
        self.path = path
        self.name = name or path.name
        self.plugins = plugins

    def fail(self, table: str, message: str) -> RegistryError:
        return RegistryError(f"{self.name} {table}: {message}")

    def registry(self, text: str, data: dict[str, Any]) -> tuple[Registry, str]:
        """What a file says, and which other one it includes."""
        kinds = core_kinds()
        known = {*RESERVED, *kinds}
        for name, table in data.items():
            if name not in known and not (self.plugins and isinstance(table, dict)):
                raise no_such_table(self.name, name, known)
            if not isinstance(table, dict):
                raise RegistryError(f"{self.name}: {name!r} must be a table, got {brief(table)}")
        header = self.table(_Header, "[registry]", data.get("registry", {}))
        if header["api"] != MAGDR_API:
            raise self.fail("[registry]", f"api = {header['api']}, this magdr speaks {MAGDR_API}")
        if fault := unsafe(header["name"] or self.path.stem):
            whose = f"name = {brief(header['name'])}" if header["name"] else "the file's name"
            raise self.fail("[registry]", f'{whose} {fault}; folders are called by it: name = "faces", say')
        plugins = self.table(_Plugins, "[plugins]", data.get("plugins", {}))
        for name in plugins["local"]:
            self.check_label("[plugins] local", name)
        instances = {
            (name, label): self.instance(kind, label, table)
            for name, kind in kinds.items()
            for label, table in data.get(name, {}).items()
        }
        calibration = self.table(CalibrationPolicy, "[calibration]", data.get("calibration", {}))
        engine = self.table(EngineSettings, "[engine]", data.get("engine", {}))
        speed = self.table(Speed, "[speed]", data.get("speed", {}))
        unread = {name: self.left(name, data[name]) for name in data if name not in known}
        for name in data.get("profile", {}):
            if fault := unsafe(name):
                raise self.fail(_shown(f"profile.{name}"), f"the profile's name {fault}")
        profiles = {
            name: self.profile(f"[profile.{name}]", table) for name, table in data.get("profile", {}).items()
        }
        registry = Registry(
            path=self.path,
            text=text,
            name=header["name"] or self.path.stem,
            seed=header["seed"],
            device=header["device"],
            local=MappingProxyType(plugins["local"]),
            block=plugins["block"],
            use=plugins["use"],
            instances=MappingProxyType(instances),
            composition=MappingProxyType(data.get("magdr", {})),
            calibration=CalibrationPolicy(**calibration),
            engine=EngineSettings(**engine),
            speed=Speed(**speed),
            profiles=MappingProxyType(profiles),
            files=header["files"],
            unread=MappingProxyType(unread),
        )
        return registry, header["include"]

    def instance(self, kind: Kind, label: str, table: Any) -> Instance:
        place = _shown(f"{kind.name}.{label}")
        self.check_label(place, label)
        values = self.table(_table_of(kind), place, table)
        use, params, base = values.pop("use") or label, values.pop("params"), values.pop("base")
        return Instance(kind.name, label, use, params, base, values)

    def profile(self, place: str, table: Any) -> Profile:
        """A `[profile.NAME]` table; keys of other roles and scenarios, such as a plugin's, are in `extra`."""
        known = ProfileTable.model_fields
        further = {}
        if isinstance(table, dict):
            further = {key: value for key, value in table.items() if key not in known}
            if further and not self.plugins:  # what nobody knows is told with the others
                further = {key: value for key, value in further.items() if key in core_profile_keys()}
            table = {key: value for key, value in table.items() if key not in further}
        return Profile(**self.table(ProfileTable, place, table), extra=further)

    def left(self, kind: str, tables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tables of what may be a plugin's kind: they are tables, and their labels can be such."""
        for label, table in tables.items():
            place = _shown(f"{kind}.{label}")
            self.check_label(place, label)
            if not isinstance(table, dict):
                raise self.fail(place, f"must be a table, got {brief(table)}")
        return tables

    def check_label(self, place: str, label: str) -> None:
        """Labels are parts of file names and of module names."""
        if not _LABEL.fullmatch(label) or len(label) > LONGEST:
            limit = f", at most {LONGEST} of them" if len(label) > LONGEST else ""
            of = "" if place.startswith("[") and label in place else f"{brief(label)}: "
            raise self.fail(place, f"{of}a label takes letters, digits and single . _ -{limit}")

    def table(self, schema: type[BaseModel], place: str, values: Any) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise self.fail(place, f"must be a table, got {brief(values)}")
        try:
            return validate(schema, values, "this table", noun="key")
        except ParameterError as e:
            raise self.fail(place, str(e)) from None


@cache
def _table_of(kind: Kind) -> type[BaseModel]:
    """What a table of a kind may say."""
    return _Component if kind.table is None else create_model("Table", __base__=(_Component, kind.table))


def _shown(table: str) -> str:
    """A table's name in brackets, cut and in quotes where it is no plain one."""
    return f"[{table}]" if table.isprintable() and len(table) <= 2 * LONGEST else f"[{brief(table)}]"

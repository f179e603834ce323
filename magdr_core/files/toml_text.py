"""Writing TOML: what `tomllib` reads back as the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from typing import Any

WIDTH = 100
"""Columns of a line; a longer list has several."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(data: Mapping[str, Any], comment: Callable[[str], str] = lambda table: "") -> str:
    """A TOML text of these values. Tables down to the second level have headers (`[attack.pgd]`), deeper ones
    and lists of tables are written inline. Characters that nobody would see are escaped.

    Args:
        comment: what to say above a table, by its dotted name; nothing if empty. Several lines are possible.

    Raises:
        TypeError: a value that TOML does not have, such as None.

    >>> print(to_toml({"attack": {"pgd": {"params": {"eps": "6/255"}}}}), end="")
    [attack.pgd]
    params = { eps = "6/255" }
    """
    plain, tables = _split(data)
    parts = ["".join(_lines(plain))] if plain else []
    for name, table in tables.items():
        own, inner = _split(table)
        if own or not inner:
            parts.append(_table([name], own, comment))
        parts += [_table([name, label], deeper, comment) for label, deeper in inner.items()]
    return "\n".join(parts)


def _split(table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Values, and the tables among them: a table's own values must stand before its inner tables."""
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    return {key: value for key, value in table.items() if key not in inner}, inner


def _table(path: list[str], values: Mapping[str, Any], comment: Callable[[str], str]) -> str:
    said = "".join(f"# {_seen(line)}\n" for line in comment(".".join(path)).splitlines())
    return f"{said}[{'.'.join(map(_key, path))}]\n" + "".join(_lines(values))


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        start = f"{_key(key)} = "
        yield f"{start}{value_text(value, len(start))}\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    return _seen(json.dumps(text, ensure_ascii=False))


def _seen(text: str) -> str:
    """Characters that nobody would see as TOML's escapes."""
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def value_text(value: Any, column: int = 0) -> str:
    """One value as TOML; lists that are too long for a line that starts at `column` are broken.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(k)} = {value_text(v, column)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        items = [value_text(v, 4) for v in value]
        line = f"[{', '.join(items)}]"
        if "\n" not in line and column + len(line) <= WIDTH:
            return line
        inner = "\n".join(_filled(items)).replace("\n", "\n    ")
        return f"[\n    {inner}\n]"
    raise TypeError(f"TOML has no {type(value).__name__}: {value!r}")


def _filled(items: Iterable[str]) -> Iterator[str]:
    """The items of a list, as many on a line as fit."""
    line = ""
    for item in items:
        if line and ("\n" in item or len(line) + len(item) > WIDTH - 8):
            yield line
            line = ""
        line += f" {item}," if line else f"{item},"
        if "\n" in item:
            yield line
            line = ""
    if line:
        yield line

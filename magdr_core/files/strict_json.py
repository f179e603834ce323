"""JSON that others wrote, taken with care: what Python's reader lets through and no program can work with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

DEEPEST = 40
LARGEST = 2**63
"""Integers below it; larger ones overflow wherever they meet a float."""


def read_json(text: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is no JSON, or holds NaN, infinity, an integer of more than 64 bits, half a surrogate
            pair, a key twice, or more than 40 levels; the message is one line, and names the place where that
            is known.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = json.loads(text, parse_int=_integer, object_pairs_hook=_table)
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("not JSON: not UTF-8") from None
    except json.JSONDecodeError as e:
        raise ValueError(f"not JSON ({e.msg}, line {e.lineno})") from None
    waiting: list[tuple[str, Any, int]] = [("", data, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("nested too deep")
        inner: Iterable[tuple[str, Any]] = ()
        if isinstance(value, dict):
            for key in value:
                _text(place, key)
            inner = ((f"{place}.{key[:80]}", v) for key, v in value.items())
        elif isinstance(value, list):
            inner = ((f"{place}[{i}]", v) for i, v in enumerate(value))
        elif isinstance(value, str):
            _text(place, value)
        elif isinstance(value, int) and not -LARGEST <= value < LARGEST:
            raise ValueError(f"{place.lstrip('.')}: an integer of more than 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{place.lstrip('.')}: {value} is no figure")
        waiting += ((p, v, depth + 1) for p, v in inner)
    return data


def _text(place: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{place.lstrip('.')}: text with half a surrogate pair") from None


def _integer(digits: str) -> int:
    """Python refuses to read integers of thousands of digits, without saying where they are."""
    return int(digits) if len(digits) < 25 else 2 * LARGEST


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in (k for k, _ in pairs[:i]))
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found

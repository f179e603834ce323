"""Keys of results: a hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORE = 1
"""Version of what core itself computes: samples, random streams, rounding, measures, calibration. Raised
whenever that can change, and then part of every key; a release that leaves it alone keeps all results."""


def digest(value: Any) -> str:
    """A short stable hash of JSON-able data."""
    text = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_of(build: Callable[..., Any]) -> tuple[str, str]:
    """(file, hash of what determines the component) of a factory that was made in Python.

    The hash is the factory's `fingerprint`, if it has one, else that of its source file; what was typed into
    a shell gets a random one, so that nothing of it is found again. A class's method of that name (every
    dataset has one) says nothing of its source.
    """
    function = inspect.unwrap(build)
    try:
        file = inspect.getsourcefile(function) or ""
    except (TypeError, OSError):  # OSError: a class that was typed into a shell
        file = ""
    known = getattr(build, "fingerprint", None)
    if known is not None and not callable(known):
        return file, str(known)
    if Path(file).is_file():
        return file, hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return file, secrets.token_hex(32)

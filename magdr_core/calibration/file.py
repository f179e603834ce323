"""Calibration files: what `magdr calibrate` writes and a registry names."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from magdr_core.calibration.content import checked_entries, parsed
from magdr_core.errors import CalibrationError
from magdr_core.files.disk import write_atomically
from magdr_core.registry.parsed import Registry

SCHEMA = 1

LARGEST = 2**26
"""Bytes of a file; one with the networks of all baselines has some megabytes."""


def read_calibration(path: Path) -> dict[str, Any]:
    """The entries of a calibration file, by key.

    Raises:
        CalibrationError: missing, no regular file, too large, damaged, or a field is wrong; one line that
            names file and field.
    """
    where = f"calibration file {str(path)!r}"
    try:
        data = parsed(_text(path, where))
        if isinstance(data, dict) and (found := data.get("schema")) != SCHEMA and type(found) is int:
            raise CalibrationError(f"schema: is {str(found)[:20]}, this version of magdr reads {SCHEMA}")
        return checked_entries(data)
    except FileNotFoundError:
        raise CalibrationError(f"{where} does not exist") from None
    except OSError as e:
        raise CalibrationError(f"{where} cannot be read: {e.strerror or e}") from None
    except CalibrationError as e:
        told = f"{where}: {e}" if not str(e).startswith(where) else str(e)
        raise CalibrationError(told) from None


def _text(path: Path, where: str) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device read for ever
            raise CalibrationError(f"{where} is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except ValueError:
        raise CalibrationError(f"{where} cannot be a path") from None
    if len(content) > LARGEST:
        raise CalibrationError(f"{where} has more than {LARGEST // 2**20} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CalibrationError(f"{where} is not UTF-8 text") from None


def calibration_file(entries: Mapping[str, Any], registry: Registry, fingerprint: str) -> dict[str, Any]:
    """The content of a calibration file, with where it comes from."""
    return {
        "schema": SCHEMA,
        "provenance": {
            "command": "magdr calibrate",
            "registry": registry.name,
            "policy": registry.calibration.model_dump(exclude={"file", "reals"}),
            "data": fingerprint,
            "magdr": version("magdr"),
            "torch": version("torch"),
        },
        "entries": dict(sorted(entries.items())),
    }


def write_calibration(path: Path, content: Mapping[str, Any]) -> None:
    """Write the content of a calibration file, all of it or nothing.

    Raises:
        WriteError: it cannot be written.
    """
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))

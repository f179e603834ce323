"""setuptools, but that type checkers and editors see an editable installation as well.

The package `magdr_plugins` lies in a folder of another name, so setuptools' editable installation is a hook
of the import system, which only a running Python asks. A `.pth` file with the project's folder says the same
of `magdr_core` to whatever reads files alone: mypy, pyright, editors.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parents[1]
PATHS = "magdr_for_type_checkers.pth"


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """setuptools' editable wheel with the `.pth` file in it; the wheel's name (PEP 660)."""
    name: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    with_file(Path(wheel_directory, name), PATHS, f"{ROOT}\n".encode())
    return name


def with_file(wheel: Path, name: str, content: bytes) -> None:
    """Add a file to a wheel, and to the list of files that the wheel holds of itself."""
    with zipfile.ZipFile(wheel) as old:
        files = {info: old.read(info) for info in old.infolist()}
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(name, content)
        for info, old_content in files.items():
            listed = info.filename.endswith(".dist-info/RECORD")
            line = f"{name},sha256={digest},{len(content)}\n".encode() if listed else b""
            new.writestr(info, line + old_content)

"""Results on disk: one file per cell, set of images or calibration, named by its key, written atomically.

Runs share a store; whatever is there is not computed again. A file is either complete or absent, whatever
kills the process.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from magdr_core.errors import MagdrError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write to a temporary file beside `path`, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class Store:
    """A folder of results. Unreadable files count as absent: they are computed again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if root.exists() and not root.is_dir():
            raise MagdrError(f"{root} is not a folder")

    def read(self, name: str) -> bytes | None:
        """A file's content by its name inside the store, or None."""
        try:
            return (self.root / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        write_atomically(self.root / name, lambda p: p.write_bytes(content))

    def json(self, kind: str, key: str) -> dict[str, Any] | None:
        content = self.read(_name(kind, key, ".json"))
        try:
            data = None if content is None else json.loads(content)
        except ValueError:
            return None
        return data if isinstance(data, dict) else None

    def put_json(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False)
        self.write(_name(kind, key, ".json"), text.encode())

    def images(self, key: str) -> Tensor | None:
        """8-bit images as float32 in [0,1], or None."""
        content = self.read(_name("images", key, ".safetensors"))
        try:
            return None if content is None else load(content)["images"].float() / 255
        except (SafetensorError, KeyError):
            return None

    def put_images(self, key: str, images: Tensor) -> None:
        levels = (images * 255).round().byte().cpu().contiguous()
        self.write(_name("images", key, ".safetensors"), save({"images": levels}))


class AwayStore(Store):
    """The store of a process that may not write: it reads through a function, and keeps what it makes until
    it is asked for it.

    Args:
        fetch: the content of a file by its name inside the store, or None.
    """

    def __init__(self, fetch: Callable[[str], bytes | None]) -> None:
        self._fetch = fetch
        self._made: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self._made[name] if name in self._made else self._fetch(name)

    def write(self, name: str, content: bytes) -> None:
        self._made[name] = content

    def take(self) -> dict[str, bytes]:
        """What was made since the last time, by name; somebody else writes it."""
        made, self._made = self._made, {}
        return made


def _name(kind: str, key: str, suffix: str) -> str:
    return f"{kind}/{key[:2]}/{key}{suffix}"

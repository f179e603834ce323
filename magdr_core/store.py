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
from safetensors.torch import load_file, save_file
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

    def _path(self, kind: str, key: str, suffix: str) -> Path:
        return self.root / kind / key[:2] / f"{key}{suffix}"

    def json(self, kind: str, key: str) -> dict[str, Any] | None:
        try:
            data = json.loads(self._path(kind, key, ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def put_json(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False)
        write_atomically(self._path(kind, key, ".json"), lambda p: p.write_text(text, encoding="utf-8"))

    def images(self, key: str) -> Tensor | None:
        """8-bit images as float32 in [0,1], or None."""
        try:
            levels = load_file(str(self._path("images", key, ".safetensors")))["images"]
        except (OSError, SafetensorError, KeyError):
            return None
        return levels.float() / 255

    def put_images(self, key: str, images: Tensor) -> None:
        levels = (images * 255).round().byte().cpu().contiguous()
        path = self._path("images", key, ".safetensors")
        write_atomically(path, lambda p: save_file({"images": levels}, str(p)))

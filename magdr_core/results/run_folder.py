"""The files of a run folder. They are one whole: the manifest lists them with their checksums and is written
last, so that a reader can tell a finished run from one that was killed, or from two that were mixed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from magdr_core.errors import WriteError
from magdr_core.files.disk import Unreadable, read_regular, size_of_tensors, sweep, write_atomically

MANIFEST, RESULTS, CELLS, CHECKS = "manifest.json", "results.csv", "cells.json", "checks.json"
VALUES, PICTURES, REPORT = "values.safetensors", "pictures.safetensors", "report.html"

SCHEMA = 2
"""Of manifests: 2 has `run`, `finished`, `files` and `sha256`."""

EARLIER = 1
"""Of versions before 0.2: finished where its files are there; whether they are of one run nobody can tell."""

_MOST = {MANIFEST: 2**24, RESULTS: 2**26, CELLS: 2**26, CHECKS: 2**26, VALUES: 2**29, PICTURES: 2**30}
"""Bytes up to which a file of a run folder is read."""


class RunWriter:
    """Writes one run into a folder, in place of any run before it.

    Between `begin` and `finish` the folder is that of an unfinished run, whatever ends the process.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self._files: dict[str, str] = {}

    def begin(self) -> None:
        """The manifest first, then the files of the run before go, its report included.

        Raises:
            WriteError: the folder cannot be written to; the run before is intact.
        """
        self.manifest |= {"schema": SCHEMA, "run": uuid4().hex, "finished": False, "files": {}}
        self._manifest()
        sweep(self.folder)
        for name in (RESULTS, CELLS, CHECKS, VALUES, PICTURES, REPORT):
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as e:
                raise WriteError(f"{self.folder / name}: cannot be removed ({e.strerror})") from None

    def write(self, name: str, content: bytes) -> None:
        """Raises WriteError if it cannot be written."""
        write_atomically(self.folder / name, lambda p: p.write_bytes(content))
        self._files[name] = hashlib.sha256(content).hexdigest()

    def write_json(self, name: str, data: Any) -> None:
        """Figures that are no numbers become null, since JSON has none of them."""
        self.write(name, json.dumps(_finite(data), indent=1, allow_nan=False).encode())

    def finish(self) -> None:
        """From now on it is a finished run."""
        self.manifest |= {"finished": True, "files": dict(sorted(self._files.items()))}
        self._manifest()

    def _manifest(self) -> None:
        self.manifest["sha256"] = manifest_digest(self.manifest)
        text = json.dumps(self.manifest, indent=1, sort_keys=True)
        write_atomically(self.folder / MANIFEST, lambda p: p.write_bytes(text.encode()))


def read_file(folder: Path, name: str) -> bytes | Unreadable | None:
    """A file of a run folder, why it is not read, or None."""
    judge = size_of_tensors if name.endswith(".safetensors") else None
    return read_regular(folder / name, _MOST[name], judge)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """The checksum of a manifest, over everything in it but the checksum itself."""
    content = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def belongs(manifest: Mapping[str, Any], name: str, content: bytes | None) -> bool:
    """Whether a file is the one that the run wrote; of earlier versions' runs nothing is known."""
    if manifest["schema"] == EARLIER:
        return True
    listed = manifest["files"].get(name)
    return bool((None if content is None else hashlib.sha256(content).hexdigest()) == listed)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value

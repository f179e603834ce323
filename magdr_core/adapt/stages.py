"""What of an adaptation is done: kept in its folder, so that a broken-off one goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from magdr_core.components.fingerprints import digest
from magdr_core.errors import MagdrError
from magdr_core.files.disk import write_atomically

FILE = "adapt.json"


class Stages:
    """The finished stages of a folder, each with a hash of all that it depended on.

    Args:
        out: the folder; made if it is not there.

    Raises:
        MagdrError: it holds something else, or its record is damaged.
        WriteError: it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / FILE
        if out.exists() and not out.is_dir():
            raise MagdrError(f"{out} is a file, a folder is needed there")
        if out.is_dir() and any(out.iterdir()) and not self._path.is_file():
            raise MagdrError(
                f"{out} holds other files: --out takes a folder of its own, empty or not there yet"
            )
        out.mkdir(parents=True, exist_ok=True)
        self._kept: dict[str, Any] = {}
        if self._path.is_file():
            try:
                self._kept = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as e:
                raise MagdrError(f"{self._path} is damaged ({e}); remove it to begin anew") from e
        else:
            self._write()

    def kept(self, stage: str, depends: Any, files: Iterable[Path] = ()) -> Any:
        """What a stage gave when it was done with the same things, JSON-able; None if it has to be done.

        Args:
            depends: JSON-able, everything that its result depends on.
            files: that it made and that must still be there.
        """
        known = self._kept.get(stage)
        if not isinstance(known, dict) or known.get("key") != digest(depends):
            return None
        return known.get("result") if all(path.exists() for path in files) else None

    def done(self, stage: str, depends: Any, result: Any) -> Any:
        """Keep what a stage gave; `result` itself.

        Raises:
            WriteError: the folder cannot be written.
        """
        self._kept[stage] = {"key": digest(depends), "result": result}
        self._write()
        return result

    def _write(self) -> None:
        text = json.dumps(self._kept, indent=1, sort_keys=True) + "\n"
        write_atomically(self._path, lambda path: path.write_text(text, encoding="utf-8"))

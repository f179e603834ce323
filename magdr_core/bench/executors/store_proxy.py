"""Reads the store for workers that may not see its folder, and hears how far they are.

A process of its own beside the store; imports nothing that takes long.
"""

from __future__ import annotations

from pathlib import Path

from magdr_core.files.disk import Content, read_stored


class StoreReader:
    """A store's files, by their names inside it."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)
        self._said: dict[int, tuple[str, int, int]] = {}

    def read(self, name: str) -> Content:
        return read_stored(self._root / name)

    def hear(self, worker: int, what: str, done: int, total: int) -> None:
        """News of a worker's long step."""
        self._said[worker] = (what, done, total)

    def heard(self) -> dict[int, tuple[str, int, int]]:
        """The news since the last call, by worker."""
        said, self._said = self._said, {}
        return said

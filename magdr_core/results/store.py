"""Results on disk: one file per cell, set of images or calibration, named by its key, written atomically.

Runs share a store; whatever is there is not computed again. A file is either complete or absent, whatever
kills the process, and what is not what was written under its key counts as absent, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from magdr_core.errors import MagdrError
from magdr_core.files.disk import Content, Unreadable, read_stored, sweep, write_atomically
from magdr_core.files.sealed import (
    UnsealedError,
    expected_size,
    open_images,
    open_json,
    seal_images,
    seal_json,
)

__all__ = ["AwayStore", "Check", "Store", "write_atomically"]

Check = Callable[[Mapping[str, Any]], object]
"""Raises ValueError, with words that go on from the file's name, for data that does not fit."""


class Store:
    """A folder of results. What cannot be read, or is not what belongs there, counts as absent and is said:
    it is computed again and takes its place.

    Args:
        report: told one line of each file that is not used.
    """

    def __init__(self, root: Path, report: Callable[[str], None] | None = None) -> None:
        self.root = root
        self._report = report
        self._said: set[str] = set()
        if root.exists() and not root.is_dir():
            raise MagdrError(f"{root} is not a folder")

    def read(self, name: str) -> Content:
        """A file's content by its name inside the store, why it cannot be read, or None."""
        return read_stored(self.root / name)

    def write(self, name: str, content: bytes) -> None:
        """Raises WriteError if it cannot be written."""
        path = self.root / name
        with suppress(OSError):
            os.rmdir(path)  # an empty folder stands in nobody's way
        write_atomically(path, lambda p: p.write_bytes(content))

    def remove(self, name: str) -> None:
        """Remove a file, by its name inside the store, if it is there and can be removed."""
        with suppress(OSError):
            os.remove(self.root / name)

    def forget(self, kind: str, key: str) -> None:
        """Remove a result and the images with its key, which nobody needs any longer."""
        self.remove(_name(kind, key, ".json"))
        self.remove(_name("images", key, ".safetensors"))

    def sweep(self) -> None:
        """Remove what killed processes left half-written; those that write at present are not disturbed."""
        for folder in [self.root, *self.root.glob("*"), *self.root.glob("*/*")]:
            if folder.is_dir():
                sweep(folder)

    def json(self, kind: str, key: str, check: Check | None = None) -> dict[str, Any] | None:
        """A result, or None.

        Args:
            check: looks at the content of what the checksum has shown to be unchanged.
        """
        name = _name(kind, key, ".json")
        try:
            content = self._content(name)
            data = None if content is None else open_json(content, kind, key)
            if data is not None and check is not None:
                check(data)
        except ValueError as e:
            self.tell(name, e)
            return None
        return data

    def put_json(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        """Raises MagdrError for data that holds NaN or infinity, WriteError if it cannot be written."""
        try:
            content = seal_json(kind, key, data)
        except (ValueError, TypeError, RecursionError) as e:
            raise MagdrError(f"{kind} {key} cannot be kept as JSON: {e}") from None
        self.write(_name(kind, key, ".json"), content)

    def images(self, key: str, shape: Sequence[int] | None = None) -> Tensor | None:
        """8-bit images as float32 in [0,1], or None.

        Args:
            shape: `[n,3,H,W]` that they must have; None: whatever is there.
        """
        name = _name("images", key, ".safetensors")
        try:
            content = self._content(name)
            if content is None:
                return None
            if shape is not None and len(content) > expected_size(shape):
                raise ValueError("is larger than it can be")
            levels = open_images(content, key)
            if shape is not None and tuple(levels.shape) != tuple(shape):
                raise ValueError(f"holds images of shape {list(levels.shape)}, not {list(shape)}")
        except ValueError as e:
            self.tell(name, e)
            return None
        return levels.float() / 255

    def put_images(self, key: str, images: Tensor) -> None:
        """Keep images `[n,3,H,W]` in [0,1], as 8-bit levels.

        Raises:
            WriteError: it cannot be written.
        """
        levels = (images.detach() * 255).round().byte()
        self.write(_name("images", key, ".safetensors"), seal_images(key, levels))

    def tell(self, name: str, error: ValueError) -> None:
        """Say once of a file, by its name inside the store, that it is not used; of files of an earlier
        version only the first is named, since there may be hundreds."""
        earlier = isinstance(error, UnsealedError)
        about = "" if earlier else name
        if self._report is None or about in self._said:
            return
        self._said.add(about)
        others = ", like all results of versions before 0.2" if earlier else ""
        self._report(f"{self._place(name)} {error}{others}: it counts as absent and is computed again")

    def _content(self, name: str) -> bytes | None:
        content = self.read(name)
        if isinstance(content, Unreadable):
            raise ValueError(content.why)
        return content

    def _place(self, name: str) -> str:
        return str(self.root / name)


class AwayStore(Store):
    """The store of a process that may not write: it reads through a function, and keeps what it makes until
    it is asked for it.

    Args:
        fetch: the content of a file by its name inside the store, why it cannot be read, or None.
        report: told one line of each file that is not used.
    """

    def __init__(self, fetch: Callable[[str], Content], report: Callable[[str], None] | None = None) -> None:
        self._fetch = fetch
        self._report = report
        self._said = set()
        self._made: dict[str, bytes] = {}

    def read(self, name: str) -> Content:
        return self._made[name] if name in self._made else self._fetch(name)

    def write(self, name: str, content: bytes) -> None:
        self._made[name] = content

    def remove(self, name: str) -> None:
        self._made.pop(name, None)

    def sweep(self) -> None:
        """There is nothing to sweep: it writes nothing."""

    def take(self) -> dict[str, bytes]:
        """What was made since the last time, by name; somebody else writes it."""
        made, self._made = self._made, {}
        return made

    def _place(self, name: str) -> str:
        return f"{name} of the cache"


def _name(kind: str, key: str, suffix: str) -> str:
    return f"{kind}/{key[:2]}/{key}{suffix}"

"""The standard streams: whether they are what they were, and opening them again where they are not."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DESCRIPTORS = (1, 2)

_kept: dict[int, tuple[int, tuple[int, int]]] = {}
"""By descriptor a duplicate of it, and which file that is."""

State = tuple[Any, ...]


def read() -> State:
    """The streams, which of them are open, and which files the descriptors are."""
    out, err, own_out, own_err = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    streams = (out, err, own_out, own_err)
    return (*streams, *(_is_open(s) for s in streams), _file(1), _file(2))


def restore(before: State) -> None:
    """Put streams and descriptors back, and open again what was closed."""
    for descriptor, file in ((1, before[8]), (2, before[9])):
        if file is not None and _file(descriptor) != file and descriptor in _kept:
            try:
                os.dup2(_kept[descriptor][0], descriptor)
            except OSError:  # everything was closed: better said to nobody than not computed
                _kept.pop(descriptor)
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    sys.stdout, sys.stderr = before[0], before[1]
    sys.__stdout__, sys.__stderr__ = before[2], before[3]  # type: ignore[misc]
    for stream, was_open in zip(before[:4], before[4:8], strict=True):
        if was_open and not _is_open(stream):
            _open_again(getattr(stream, "rich_proxied_file", stream))


def _is_open(stream: Any) -> bool:
    try:
        return stream is not None and not stream.closed
    except ValueError:
        return False  # its buffer was taken away
    except Exception:
        return stream is not None  # a stand-in without `closed` cannot be closed


def _open_again(stream: Any) -> None:
    """In place, so that whoever holds the stream can go on writing."""
    with contextlib.suppress(Exception):
        descriptor = 2 if stream in (sys.__stderr__, sys.stderr) else 1
        if isinstance(stream, io.TextIOWrapper):
            stream.__init__(  # type: ignore[misc]
                open(descriptor, "wb", closefd=False),  # noqa: SIM115 (it stays open)
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering,
            )
        elif isinstance(stream, io.StringIO):
            stream.__init__()  # type: ignore[misc]


def keep() -> None:
    """Have a duplicate of each descriptor, to come back to; of what the process itself has redirected since
    the last call, the new one."""
    for descriptor in _DESCRIPTORS:
        now, known = _file(descriptor), _kept.get(descriptor)
        if now is not None and (known is None or known[1] != now):
            with contextlib.suppress(OSError):
                fresh = _far_duplicate(descriptor)
                if known is not None:
                    os.close(known[0])
                _kept[descriptor] = (fresh, now)


def _far_duplicate(descriptor: int) -> int:
    """Where whoever closes a range of descriptors does not hit it, if there is room."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            return int(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 512))
    return os.dup(descriptor)


def _file(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino

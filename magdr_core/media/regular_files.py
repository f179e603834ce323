"""Opening files of others: regular ones only, of a bounded size.

A folder of photographs may hold a pipe, on which reading waits for ever, a link to `/dev/zero`, which never
ends, or a file that declares gigabytes and holds none. None of them is opened for reading here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from magdr_core.errors import DataError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path, most_bytes: int) -> BinaryIO:
    """Open a file for reading, without ever waiting for it.

    Args:
        most_bytes: a larger file is refused before anything is read.

    Raises:
        DataError: missing, empty, too large, no regular file, or it may not be read; also a name that no file
            can have. One line.
    """
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait. Regular files do not know it.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist") from None
    except (OSError, ValueError) as e:  # ValueError: a zero byte in the name
        kind = _kind(path)
        reason = f"it is {kind}, no regular file" if kind else _said(e)
        raise DataError(f"{path}: cannot be read ({reason})") from None
    try:
        _check(path, os.fstat(handle), most_bytes)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check(path: Path, found: os.stat_result, most_bytes: int) -> None:
    kind = _kind_of(found.st_mode)
    if kind:
        raise DataError(f"{path}: cannot be read (it is {kind}, no regular file)")
    if not found.st_size:
        raise DataError(f"{path}: is empty")
    if found.st_size > most_bytes:
        raise DataError(
            f"{path}: has {_megabytes(found.st_size)} MB, files of up to {_megabytes(most_bytes)} MB are read"
        )


def _megabytes(size: int) -> int:
    return -(-size // 10**6)


def _kind(path: Path) -> str:
    """What a file is that cannot even be opened, as a socket cannot; "" for a regular or an unknown one."""
    try:
        return _kind_of(os.stat(path).st_mode)
    except (OSError, ValueError):
        return ""


def _kind_of(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")


def _said(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)

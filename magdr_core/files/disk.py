"""Files on disk: written whole or not at all, and read only if they are ordinary and of a likely size.

Nothing here imports torch, so that light processes can use it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from magdr_core.errors import WriteError

_PARTIAL = re.compile(r"\.magdr-(?P<place>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}\.tmp")
"""A file that is being written: where its process runs, and which one it is."""

_PARTIAL_BEFORE = re.compile(
    r"\.([0-9a-f]{16}(-[a-z-]{1,20})?\.(json|safetensors)"
    r"|(manifest|cells|checks)\.json|results\.csv|(values|pictures)\.safetensors|report\.html)"
    r"\.[a-z0-9_]{8}"
)
"""What versions before 0.2 called such a file in stores and run folders."""

_MOST_JSON, _MOST_TENSORS = 2**28, 2**32
"""Bytes that no file of a store exceeds."""

_FOREIGN_AGE = 24 * 3600.0
"""Seconds after which a partial file is nobody's, where its process cannot be asked for."""

_EARLIER_AGE = 600.0
"""The same of files of versions before 0.2, which wrote each within seconds."""


@dataclass(frozen=True)
class Unreadable:
    """A file that is there and is not read. `why` goes on from its name: "is a folder"."""

    why: str


Content = bytes | Unreadable | None
"""What reading a file gives; None: there is none."""


def read_regular(path: Path, most: int, judge: Callable[[bytes, int], str] | None = None) -> Content:
    """Read a whole file, if it is an ordinary one: no FIFO to wait for, no device without end.

    Args:
        most: bytes; a larger file is not read at all.
        judge: told the first 64 KiB and the size; what is wrong with them, or an empty text.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as e:  # ValueError: a NUL in the name
        return Unreadable(f"cannot be read ({_reason(e)})")
    try:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode):
            return Unreadable("is a folder" if stat.S_ISDIR(told.st_mode) else "is no ordinary file")
        if told.st_size > most:
            return Unreadable(f"is larger than it can be ({told.st_size:,} bytes)")
        with open(handle, "rb", closefd=False) as file:
            head = file.read(min(told.st_size, 2**16))
            wrong = judge(head, told.st_size) if judge is not None else ""
            return Unreadable(wrong) if wrong else head + file.read(told.st_size - len(head))
    except OSError as e:
        return Unreadable(f"cannot be read ({_reason(e)})")
    finally:
        os.close(handle)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write to a temporary file beside `path`, then rename. What killed processes left there goes first.

    Nothing waits for the disk: after a power failure a file may be empty, which its readers notice.

    Raises:
        WriteError: it cannot be written; whatever stood there before still does.
    """
    partial = path.parent / f".magdr-{_place()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent.absolute())
        try:
            partial.touch(exist_ok=False)
            write(partial)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as e:
        raise WriteError(f"{path}: cannot be written ({_reason(e)})") from None


def read_stored(path: Path) -> Content:
    """Read a JSON or safetensors file of a store."""
    if path.suffix == ".safetensors":
        return read_regular(path, _MOST_TENSORS, size_of_tensors)
    return read_regular(path, _MOST_JSON)


def size_of_tensors(head: bytes, size: int) -> str:
    """What the first bytes of a safetensors file show to be wrong with its size; else an empty text.

    A file that a hole makes huge is not read for finding that out. Of a header that is longer than `head`
    nothing more is said.
    """
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or not 2 <= length <= size - 8 or head[8:9] != b"{":
        return "is damaged"
    if 8 + length > len(head):
        return ""
    try:
        header = json.loads(head[8 : 8 + length])
        ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
        right = 8 + length + max(ends, default=0) == size
    except (ValueError, RecursionError, AttributeError, KeyError, IndexError, TypeError):
        right = False
    return "" if right else "is damaged"


def sweep(folder: Path) -> None:
    """Remove the half-written files of processes that are no more; those of living ones stay."""
    now = time.time()
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.startswith(".") and _left_behind(folder / name, now):
            with suppress(OSError):  # another process swept it, or it is not ours to remove
                os.unlink(folder / name)


@cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


def _left_behind(path: Path, now: float) -> bool:
    found = _PARTIAL.fullmatch(path.name)
    if found is None and _PARTIAL_BEFORE.fullmatch(path.name) is None:
        return False
    try:
        told = path.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(told.st_mode):
        return False
    if found is None:
        return now - told.st_mtime > _EARLIER_AGE
    own = found["place"] == _place() and os.name == "posix"
    return now - told.st_mtime > _FOREIGN_AGE or (own and not _lives(int(found["pid"])))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it is another user's
    return True


@cache
def _place() -> str:
    """Eight digits for this machine since it was started, and for the container in it: where a process
    number means one process."""
    told = [os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")]
    for path, read in (
        ("/proc/sys/kernel/random/boot_id", lambda p: Path(p).read_text(encoding="ascii").strip()),
        ("/proc/self/ns/pid", os.readlink),
    ):
        try:
            told.append(read(path))
        except OSError:
            told.append("")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

"""Files and texts that a user names: found, bounded and decoded, or refused in one line.

Whatever a registry, a card, a list of a dataset or a note turns out to be (a folder, a pipe that never ends,
gigabytes of zeros, a web page, another encoding), it is said before it costs time or memory.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from magdr_core.errors import MagdrError, brief

TEXT = 2**20
"""Bytes of a registry or a card; the longest that is shipped has 20,000."""

LIST = 2**31
"""Bytes of a list of pictures or of action units; CelebA's attributes have 27 million."""

LINE = 2**20
"""Bytes of one line of a list."""

DEPTH = 24
"""Tables and arrays inside each other; registries need six."""

LARGEST = 2**63 - 1
"""Whole numbers of TOML have 64 bits; Python reads longer ones."""

Error = type[MagdrError]


def user_path(text: str, base: Path, *, error: Error, what: str = "path") -> Path:
    """Where a path of the user's is: `~` and environment variables filled in, relative ones from `base`.

    Raises:
        MagdrError: (of the type `error`) no path at all (too long, a NUL), an unknown user's home, or a place
            that nobody may look at. One that is not there is none of these.
    """
    try:
        path = base / Path(os.path.expandvars(text)).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except RuntimeError:
        raise error(f"{what} {brief(text)}: there is no such home folder; write the path out") from None
    except (OSError, ValueError) as e:
        raise error(f"{what} {brief(text)} cannot be used: {_reason(e)}") from None
    return path


def open_regular(path: Path, *, error: Error, subject: str = "", most: int | None = None) -> BinaryIO:
    """A regular file, opened for reading; a pipe or device is not even touched.

    Args:
        subject: how errors begin; `path:` if empty.
        most: bytes that it may have.

    Raises:
        MagdrError: (of the type `error`) it is missing, a folder, no regular file, too large or unreadable.
    """
    subject = subject or f"{path}:"
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise error(f"{subject} is a folder; name the file in it")
        if not stat.S_ISREG(found.st_mode):
            raise error(f"{subject} is a device, pipe or socket, not a file")
        if most is not None and found.st_size > most:
            raise error(f"{subject} has {found.st_size:,} bytes; at most {most:,} are read")
        if not found.st_size:
            return open(os.devnull, "rb")  # the kernel's files claim this, and some never end
        return path.open("rb")
    except FileNotFoundError:
        raise error(f"{subject} does not exist") from None
    except (OSError, ValueError) as e:
        raise error(f"{subject} cannot be read: {_reason(e)}") from None


def read_text(path: Path, *, error: Error, subject: str = "", most: int = TEXT) -> str:
    """A whole text file: UTF-8, with or without a byte-order mark; every line ends with a newline character.

    Raises:
        MagdrError: (of the type `error`) as :func:`open_regular`, or it is no UTF-8 text.
    """
    subject = subject or f"{path}:"
    with open_regular(path, error=error, subject=subject, most=most) as f:
        try:
            data = f.read(most + 1)
        except OSError as e:
            raise error(f"{subject} cannot be read: {_reason(e)}") from None
    text = _decoded(data, 0, 1, subject, error).removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: Path, *, error: Error, subject: str = "", most: int = LIST) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of the lines of a file that may be too large to be held.

    Raises:
        MagdrError: (of the type `error`) as :func:`read_text`, a line without an end, or a saved web page.
    """
    subject = subject or f"{path}:"
    number, at = 0, 0
    with open_regular(path, error=error, subject=subject, most=most) as f:
        while True:
            try:
                raw = f.readline(LINE + 1)
            except OSError as e:
                raise error(f"{subject} cannot be read: {_reason(e)}") from None
            if not raw:
                return
            if len(raw) > LINE:
                raise error(f"{subject} line {number + 1} is longer than {LINE:,} bytes, so it is no list")
            if not at and (found := not_the_file(raw)):
                raise error(f"{subject} {found}")
            line = _decoded(raw, at, number + 1, subject, error)
            at += len(raw)
            for part in line.removeprefix("\ufeff").rstrip("\r\n").split("\r"):
                number += 1
                yield number, part


def not_the_file(head: bytes) -> str:
    """What a download left in a file's place, by its first bytes; empty if it is nothing of that kind."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<script", b"<!--")):
        return "is a web page; a download saved its page instead of the file"
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; run `git lfs pull`"
    return ""


def parse_toml(text: str, *, error: Error, subject: str) -> dict[str, Any]:
    """A TOML text of which every value can be handled and shown.

    Raises:
        MagdrError: (of the type `error`) it is not TOML, nested too deeply, or holds a number beyond 64 bits,
            NaN or a NUL character; the line names the key.
    """
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise error(f"{subject} is nested too deeply: more than {DEPTH} tables or arrays") from None
    except ValueError as e:  # TOMLDecodeError, or a number of thousands of digits
        raise error(f"{subject} is not valid TOML: {e}") from None
    fault = _fault(data)
    if fault:
        raise error(f"{subject} {fault}")
    return data


def read_json(path: Path, *, error: Error, most: int = TEXT) -> Any:
    """The content of a JSON file.

    Raises:
        MagdrError: (of the type `error`) as :func:`read_text`, or as :func:`parse_toml`.
    """
    text = read_text(path, error=error, most=most)
    try:
        data = json.loads(text)
    except RecursionError:
        raise error(f"{path}: is nested too deeply: more than {DEPTH} lists") from None
    except ValueError as e:
        raise error(f"{path}: is not valid JSON: {e}") from None
    fault = _fault(data)
    if fault:
        raise error(f"{path}: {fault}")
    return data


def _fault(data: Any) -> str:
    """What is wrong with a tree of values, with its place; empty if nothing is. Without recursion."""
    left: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while left:
        place, value = left.pop()
        where = brief(".".join(place))[1:-1]
        if len(place) > DEPTH:
            return f"{where[:40]}: is nested too deeply: more than {DEPTH} tables or arrays"
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            return f"{where}: is a whole number beyond 64 bits"
        if isinstance(value, float) and math.isnan(value):
            return f"{where}: is nan, which is no value to set"
        if isinstance(value, str) and "\0" in value:
            return f"{where}: holds a NUL character"
        if isinstance(value, dict):
            odd = next((key for key in value if "\0" in key), None)
            if odd is not None:
                return f"{brief('.'.join((*place, odd)))}: is a key with a NUL character"
            left += [((*place, str(key)), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            left += [((*place, str(i)), inner) for i, inner in reversed(list(enumerate(value)))]
    return ""


def _decoded(data: bytes, at: int, line: int, subject: str, error: Error) -> str:
    """`data` starts at byte `at` of its file, in this line."""
    if not at and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise error(f"{subject} is UTF-16 text; save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        line += data.count(b"\n", 0, e.start)
        byte = data[e.start]
        raise error(f"{subject} is not UTF-8 text: byte {byte:#04x} at {at + e.start}, line {line}") from None
    if "\0" in text:
        line += text.count("\n", 0, text.index("\0"))
        raise error(f"{subject} is not a text: a NUL character in line {line}")
    return text


def _reason(e: Exception) -> str:
    return getattr(e, "strerror", None) or str(e)

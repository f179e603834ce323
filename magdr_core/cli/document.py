"""`--json`: one document on stdout, whatever else in the process prints, and whatever files are called."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

Stdout = Callable[[], AbstractContextManager[None]]


@contextmanager
def for_a_program(as_json: bool) -> Iterator[Stdout]:
    """Inside, everything that is printed goes to stderr, also what C code writes to the process's stdout.

    Plugins print when they are imported and when they are called; a program that reads the document must not
    meet that. Without `as_json` nothing is redirected.

    Yields:
        a function whose context is that of stdout as it was, for the document.
    """

    @contextmanager
    def as_it_is() -> Iterator[None]:
        yield

    if not as_json:
        yield as_it_is
        return
    shown = sys.stdout
    shown.flush()
    with _elsewhere(1, 2) as own:
        sys.stdout = sys.stderr

        @contextmanager
        def back() -> Iterator[None]:
            sys.stderr.flush()
            sys.stdout = shown
            with _elsewhere(1, own):
                try:
                    yield
                finally:
                    shown.flush()
                    sys.stdout = sys.stderr
            atexit.register(_to_stderr)

        try:
            yield back
        finally:
            sys.stdout = shown


def _to_stderr() -> None:
    """What a plugin still has to say when the process ends; C code writes only then what it has gathered."""
    with suppress(OSError):
        os.dup2(2, 1)


@contextmanager
def _elsewhere(stream: int, target: int | None) -> Iterator[int | None]:
    """A stream of the process (1: stdout) goes where another one does; its own place meanwhile. A process
    that was started without one has nothing to redirect."""
    try:
        own = os.dup(stream)
    except OSError:
        own = None
    try:
        if own is not None and target is not None:
            os.dup2(target, stream)
        yield own
    finally:
        if own is not None:
            os.dup2(own, stream)
            os.close(own)


def path_facts(path: Path) -> dict[str, str]:
    """A file's name for the document: `path`, and where it is no UTF-8 also `path_bytes`, percent-encoded,
    since JSON is text and `path` then has escapes (`\\xff`) in place of those bytes."""
    name = str(path)
    shown = as_text(name)
    return (
        {"path": shown}
        if shown == name
        else {"path": shown, "path_bytes": quote_from_bytes(os.fsencode(name))}
    )


def as_text(text: str) -> str:
    """The same where it can be written as UTF-8; bytes of names that cannot are escaped."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, out of somebody's message
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def text_only(value: Any) -> Any:
    """A document whose every text can be written as UTF-8."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, dict):
        return {text_only(key): text_only(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [text_only(one) for one in value]
    return value

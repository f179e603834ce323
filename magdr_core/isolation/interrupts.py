"""Telling the user's Ctrl-C from a KeyboardInterrupt that a component raises itself.

The user's comes as a signal. While a run is watched the signal is noted, so that a KeyboardInterrupt without
one is some component's fault, and one that a component swallowed still stops the run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Watch:
    """Whether signals are noted at present, and whether one has come."""

    def __init__(self) -> None:
        self.active = False
        self.came = False


_watch = _Watch()


@contextmanager
def watched() -> Iterator[None]:
    """Note Ctrl-C while this is open; it still interrupts. Elsewhere than in the main thread nothing is
    changed, since no signal arrives there."""
    if _watch.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        _watch.came = True
        if callable(before):
            before(number, frame)
        else:
            raise KeyboardInterrupt

    deaf = before is signal.SIG_IGN  # started in the background: it stays deaf, and nobody can interrupt it
    if not deaf:
        signal.signal(signal.SIGINT, note)
    _watch.active, _watch.came = True, False
    try:
        yield
    finally:
        _watch.active = _watch.came = False
        if not deaf:
            signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def is_users(error: BaseException) -> bool:
    """Whether an exception is the user's wish to stop, and not a component's own."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    return _watch.came or not _watch.active


def check() -> None:
    """Raises KeyboardInterrupt if the user asked to stop and a component kept that to itself."""
    if _watch.came and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt

"""Threads that a component has started and not ended."""

from __future__ import annotations

import concurrent.futures.process as process_pools
import concurrent.futures.thread as thread_pools
import threading
from collections.abc import Iterable

GRACE = 0.2
"""Seconds that a thread is given to end by itself."""


def running() -> list[threading.Thread]:
    return threading.enumerate()


def started_since(before: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Threads that run now, did not then, and do not end within the grace; workers of pools are none, since
    Python ends those itself."""
    known = set(before)
    new = [t for t in threading.enumerate() if t not in known and not _of_a_pool(t)]
    for thread in new:
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(GRACE)
    return [t for t in new if t.is_alive()]


def holding_up(before: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Threads that would keep the process alive and did not run then."""
    known = set(before)
    return [t for t in threading.enumerate() if t not in known and not t.daemon and not _of_a_pool(t)]


def named(threads: Iterable[threading.Thread]) -> str:
    return ", ".join(sorted(t.name for t in threads))


def _of_a_pool(thread: threading.Thread) -> bool:
    pools = (
        getattr(thread_pools, "_threads_queues", {}),
        getattr(process_pools, "_threads_wakeups", {}),
    )
    return any(thread in pool for pool in pools)

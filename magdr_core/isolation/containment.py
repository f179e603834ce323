"""Running somebody's code so that whatever it does stays with it: exceptions of any kind, and the process.

Nothing here knows components; :mod:`magdr_core.guards.base` adds what is particular to their calls.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from magdr_core.errors import ComponentError, MagdrError, one_line
from magdr_core.isolation import global_random, interrupts, left_threads, process_state

T = TypeVar("T")

_notices: list[str] = []


def notice(text: str) -> None:
    """Have the user told something in one line that is no failure: how much of the data is left out, say."""
    if text not in _notices:
        _notices.append(text)


def take_notices() -> list[str]:
    """One-line messages about what was found and is no failure, since the last call."""
    taken, _notices[:] = list(_notices), []
    return taken


def contained(
    where: str,
    action: Callable[[], T],
    *,
    error: Callable[[str], MagdrError] = ComponentError,
    failed: str = "failed",
) -> T:
    """What `action` returns; the process is afterwards what it was.

    Args:
        where: whose code it is.
        error: makes the error of a fault from its message.
        failed: what is said of an exception, as in `WHERE: failed: ...`.

    Raises:
        MagdrError: `error` of any exception, `SystemExit` and the like included, and of state of the process
            that was changed, or a thread that was left. A MagdrError of the action itself, and torch's
            out-of-memory error, pass as they are, and so does the user's Ctrl-C.
    """
    before, threads, process = process_state.snapshot(), left_threads.running(), os.getpid()
    modules = len(sys.modules)
    try:
        result = action()
    except BaseException as e:
        _end_a_fork(process)
        process_state.put_back(before)
        interrupts.check()
        if isinstance(e, MagdrError):
            if error is ComponentError:  # what is built is named by its table
                _attribute(e, where)
            raise
        if isinstance(e, torch.OutOfMemoryError) or interrupts.is_users(e):
            raise
        raise _attributed(error(f"{where}: {failed}: {one_line(e)}")) from e
    _end_a_fork(process)
    changed = process_state.put_back(before)
    interrupts.check()
    if len(sys.modules) > modules:  # a library was imported on the way
        changed = [name for name in changed if name not in LIBRARIES_CHANGE]
    if changed:
        raise _attributed(error(f"{where}: changes {process_state.named(changed)}"))
    _judge_threads(where, threads, error)
    return result


def _end_a_fork(process: int) -> None:
    """A process that the action has split off ends here, or it would do the rest of the run once more."""
    if os.getpid() != process:
        os._exit(1)


LIBRARIES_CHANGE = (
    "environment variables",
    "signal handlers",
    "hooks of the interpreter",
    "whether messages are shown",
    "the locale",
    "the recursion limit",
    "numpy's treatment of errors",
)
"""What libraries set when they are imported. It is put back, save variables that a plugin's import sets."""


def imported(action: Callable[[], T]) -> T:
    """What `action`, which imports or asks a module, returns; the process is afterwards what it was.

    Raises:
        RuntimeError: it changes what no library has to.
        BaseException: whatever the action raises.
    """
    before, random = process_state.snapshot(), global_random.state(torch.device("cpu"))
    try:
        result = action()
    except BaseException:
        process_state.put_back(before)
        raise
    finally:
        global_random.restore(random)
    changed = process_state.put_back(before, leave=LIBRARIES_CHANGE[:1])
    if wrong := [name for name in changed if name not in LIBRARIES_CHANGE]:
        raise RuntimeError(f"changes {process_state.named(wrong)}")
    return result


def _attributed(error: MagdrError) -> MagdrError:
    """An error that says whose fault it is: whoever was called in between is not named as well."""
    error.attributed = True
    return error


def _attribute(error: MagdrError, where: str) -> None:
    """Have an error that was not made here, a component's own, say whose it is."""
    if not error.attributed:
        error.attributed = True
        if where not in str(error):
            error.add_note(where)


def _judge_threads(where: str, before: list[Any], error: Callable[[str], MagdrError]) -> None:
    started = left_threads.started_since(before)
    left = [t for t in started if not t.daemon]
    if left:
        raise _attributed(error(f"{where}: leaves a thread running ({left_threads.named(left)})"))
    if started:
        _notices.append(f"{where}: leaves a daemon thread running ({left_threads.named(started)})")

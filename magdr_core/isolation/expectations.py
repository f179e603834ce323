"""What must hold of the values of tensors: looked at at once on a CPU, later on an accelerator.

Looking at a value makes a CPU wait for all work that an accelerator has queued. Inside :func:`deferred` such
checks are queued too, as device booleans with what to say, and looked at together when it ends: before
anything that was computed is stored or handed over. Who was at fault is said all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

Failure = Callable[[], Exception]
"""Makes the error, which may say values; called when it is known that the expectation does not hold."""

MOST = 4096
"""So many are collected before they are looked at anyway."""


class Expectations:
    """Expectations that were not looked at yet, in the order of the calls.

    Args:
        always: collect those of tensors on a CPU as well.
    """

    def __init__(self, *, always: bool = False) -> None:
        self.always = always
        self._open: list[tuple[Tensor, Failure]] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, holds: Tensor, failure: Failure) -> None:
        """Remember `holds`, a boolean tensor of one element, `[]` or `[1]`, to be looked at later."""
        self._open.append((holds.detach().reshape(()), failure))
        if len(self._open) >= MOST:
            self.settle()

    def settle(self) -> None:
        """Look at all of them, which waits for the device once; raises the first error."""
        found, self._open = self._open, []
        by_device: dict[torch.device, list[int]] = {}
        for i, (holds, _) in enumerate(found):
            by_device.setdefault(holds.device, []).append(i)
        wrong = [
            i
            for where in by_device.values()
            for i, good in zip(where, torch.stack([found[i][0] for i in where]).tolist(), strict=True)
            if not good
        ]
        if wrong:
            raise found[min(wrong)][1]()


_current: ContextVar[Expectations | None] = ContextVar("expectations", default=None)


def collecting() -> bool:
    """Whether expectations of tensors on an accelerator are collected at present."""
    return _current.get() is not None


def expect(holds: Tensor, failure: Failure) -> None:
    """Raise `failure()` unless the boolean `holds` (one element, `[]` or `[1]`) is true; now, or when it is
    settled."""
    collected = _current.get()
    if collected is not None and (collected.always or holds.device.type != "cpu"):
        collected.add(holds, failure)
    elif not bool(holds):
        raise failure()


def expect_same(a: Tensor, b: Tensor, failure: Failure) -> None:
    """Raise `failure()` unless two tensors, of any shape, hold the same values; NaN is the same as NaN."""
    collected = _current.get()
    if a.shape != b.shape:
        raise failure()
    a, b = a.detach(), b.detach()
    if a.device.type == "cpu" and not (collected is not None and collected.always) and torch.equal(a, b):
        return  # enough for every sound input, and fast; NaN is not equal to itself
    expect(((a == b) | (a.isnan() & b.isnan())).all(), failure)


@contextmanager
def deferred(*, always: bool = False) -> Iterator[Expectations]:
    """Collect expectations of tensors on an accelerator, and settle them at the end.

    After an exception they are settled too, since what failed earlier explains it: that error is raised,
    with the later one as its cause.

    Args:
        always: those of tensors on a CPU too; tests take that.
    """
    collected = Expectations(always=always)
    token = _current.set(collected)
    try:
        yield collected
    except Exception as e:
        _current.reset(token)
        try:
            collected.settle()
        except Exception as earlier:
            raise earlier from e
        raise
    except BaseException:
        _current.reset(token)
        raise
    else:
        _current.reset(token)
        collected.settle()

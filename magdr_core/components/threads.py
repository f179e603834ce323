"""How many CPU threads torch should use: measured, since on a busy machine more can be far slower."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_thread() -> Iterator[None]:
    """For many small operations (drawing faces), where handing work to threads costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def probe_threads(repeats: int = 3) -> int:
    """The thread count, 1 or all, that runs a small convolution stack faster at present."""
    most = torch.get_num_threads()
    if most == 1:
        return 1
    x = torch.ones(8, 32, 64, 64)
    weight = torch.ones(32, 32, 3, 3)
    best = {}
    for threads in (1, most):
        torch.set_num_threads(threads)
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            torch.nn.functional.conv2d(torch.nn.functional.conv2d(x, weight), weight).relu_()
            times.append(time.perf_counter() - start)
        best[threads] = min(times[1:])
    torch.set_num_threads(most)
    return min(best, key=lambda n: best[n])

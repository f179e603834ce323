"""How time and memory grow: with images, resolution, batch, candidates and f_k."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Callable
from copy import copy
from typing import Any

import torch
from clock import Clock
from faces import World

from magdr_core.functional import resize

MIB = 2**20


class Peak:
    """The most memory that a call took beyond what was held before, in MiB.

    On CUDA what torch allocated; on a CPU what the process's resident size grew by, looked at every few
    milliseconds (Linux with glibc, whose free memory is given back first; elsewhere 0).
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def of(self, run: Callable[[], Any]) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            run()
            torch.cuda.synchronize()
            return (torch.cuda.max_memory_allocated() - before) / MIB
        if platform.libc_ver()[0] != "glibc":
            run()
            return 0.0
        # What the allocator kept from an earlier call would not be seen again.
        ctypes.CDLL(None).malloc_trim(0)
        before, most = _resident(), [0]
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.005):
                most[0] = max(most[0], _resident())

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            run()
        finally:
            done.set()
            watcher.join()
        return max(0, max(most[0], _resident()) - before) / MIB


def _resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@torch.no_grad()
def table(device: str, clock: Clock, largest: int = 32) -> list[dict[str, Any]]:
    """Seconds and MiB of each point; `images` of a point are what its time is divided by."""
    world = World(device, largest)
    G, detector = world.generator, world.pipeline.magdr.evidence
    peak, rows = Peak(clock.device), []

    def point(axis: str, value: int, images: int, run: Callable[[], Any]) -> None:
        memory = peak.of(run)
        seconds = min(clock.seconds(run) for _ in range(clock.rounds))
        rows.append(
            {
                "axis": axis,
                "value": value,
                "images": images,
                "ms_per_image": 1000 * seconds / images,
                "mib": memory,
            }
        )

    n = 4
    while n <= largest:
        # From both ends, so that clean and attacked images are there alike.
        idx = torch.cat([torch.arange(n // 2), torch.arange(largest - n // 2, largest)])
        x, c = world.x[idx], world.c[idx]
        point("images, detection and reconstruction", n, n, lambda x=x, c=c: world.pipeline.defend(x, c))
        n *= 2
    x, c = world.x[-2:], world.c[-2:]
    for side in (64, 128, 256, 512):
        large = resize(x, side)
        point("resolution, detection", side, 2, lambda x=large, c=c: detector.inspect(x, c, G))
    for batch in (n for n in (1, 2, 4, 8, 16, 32) if n <= largest):
        x, c = world.x[:batch], world.c[:batch]
        point("batch, generator", batch, len(x), lambda x=x, c=c: G(x, c))
    x, c = world.x[-4:], world.c[-4:]
    for k in range(len(detector.probe.augmentations) + 1):
        some = detector.probe.augmentations[:k]
        point("f_k, evidence", k, 4, lambda some=some: detector.measure(x, c, G, augmentations=some))
    plain = world.pipeline.magdr.reconstructor.shortlist
    for k in sorted({1, 2, 4, len(plain.chains) - 1}):
        fewer = copy(plain)
        fewer.chains, fewer.prior = plain.chains[: k + 1], plain.prior[: k + 1]
        world.pipeline.magdr.reconstructor.shortlist = fewer
        point("candidates, reconstruction", k, 4, lambda: world.pipeline.magdr.reconstruct(x, c, G))
    world.pipeline.magdr.reconstructor.shortlist = plain
    return rows

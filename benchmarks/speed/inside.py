"""Where the time of detection and reconstruction goes: inside the generator's passes, or outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from clock import Clock
from faces import World

from magdr_core.functional import resize
from magdr_core.guards import GuardedGenerator, GuardedImageMap, GuardedMetric, GuardedParser

REST = "rest: standardising, ranking, copies"


LARGE = """
[generator.large]
use = "stargan"
params = { weights = "random", width = 64, blocks = 6, size = 128 }
"""


class Exclusive:
    """Time inside calls, less the time of watched calls inside those."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def call(self, name: str, run: Callable[[], Any]) -> Any:
        start = self.clock.now()
        self._inner.append(0.0)
        try:
            return run()
        finally:
            whole = self.clock.now() - start
            self.seconds[name] += whole - self._inner.pop()
            if self._inner:
                self._inner[-1] += whole

    @contextmanager
    def watching(self) -> Iterator[None]:
        def watched(kind: type, method: str, told: str) -> Any:
            plain = getattr(kind, method)

            def timed(guard: Any, *args: Any, **kwargs: Any) -> Any:
                name = told if told in ("generator", "parser") else f"{told} {guard.label}"
                return self.call(name, lambda: plain(guard, *args, **kwargs))

            return patch.object(kind, method, timed)

        with (
            watched(GuardedGenerator, "__call__", "generator"),
            watched(GuardedParser, "__call__", "parser"),
            watched(GuardedImageMap, "__call__", "image map"),
            watched(GuardedMetric, "__call__", "criterion"),
        ):
            yield


def table(world: World, clock: Clock) -> list[dict[str, Any]]:
    """The share of each part in defending the world's images, clean and attacked ones together."""
    return _shares("64 px", world.defend, clock)


def large(world: World, clock: Clock) -> list[dict[str, Any]]:
    """The same before a generator of the published size, whose weights are random.

    Its verdicts would mean nothing, so every image is judged and reconstructed once.
    """
    G = world.toolkit.extended(LARGE).generator("large")
    magdr, x, c = world.pipeline.magdr, resize(world.x, 128), world.c

    @torch.no_grad()
    def run() -> None:
        seen = magdr.evidence.inspect(x, c, G)
        magdr.reconstructor.reconstruct(x, c, G, x, seen.outputs)

    return _shares("128 px", run, clock)


def _shares(where: str, run: Callable[[], Any], clock: Clock) -> list[dict[str, Any]]:
    run()
    inside = Exclusive(clock)
    with inside.watching():
        inside.call(REST, run)
    total = sum(inside.seconds.values())
    parts = sorted(inside.seconds.items(), key=lambda part: -part[1])
    rows = [{"part": name, "seconds": seconds, "share": seconds / total} for name, seconds in parts]
    outside = sum(seconds for name, seconds in parts if name != "generator")
    rows.append({"part": "all outside the generator", "seconds": outside, "share": outside / total})
    return [{"generator": where, **row} for row in rows]

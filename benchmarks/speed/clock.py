"""Timing contestants in turn, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Clock:
    """How time is taken.

    Attributes:
        kind: `wall`, for an idle machine, or `cpu`, the process's own time, for a busy one (one thread only).
        rounds: each contestant runs so often, after one run that does not count.
        device: what has to be waited for.
    """

    kind: str
    rounds: int
    device: torch.device

    def now(self) -> float:
        """Seconds."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if self.kind == "cpu" else time.perf_counter()

    def seconds(self, run: Callable[[], Any]) -> float:
        start = self.now()
        run()
        return self.now() - start

    def in_turn(
        self, contestants: Mapping[str, Callable[[], Any]], *, warm: bool = False
    ) -> dict[str, list[float]]:
        """A B C A B C ...: the seconds of each round.

        Args:
            warm: each has run before.
        """
        for run in contestants.values() if not warm else ():
            run()
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(self.rounds):
            for name, run in contestants.items():
                found[name].append(self.seconds(run))
        return found


def ratio(slower: list[float], faster: list[float]) -> dict[str, float]:
    """How many times faster, round by round: median, least and most."""
    each = [a / b for a, b in zip(slower, faster, strict=True)]
    return {"ratio": statistics.median(each), "low": min(each), "high": max(each)}


def rows_of(times: Mapping[str, list[float]], against: str, **facts: Any) -> list[dict[str, Any]]:
    """One row per contestant, with its speed in units of the contestant `against`."""
    return [
        {
            "contestant": name,
            **facts,
            "seconds": statistics.median(seconds),
            "against": against,
            **ratio(times[against], seconds),
        }
        for name, seconds in times.items()
    ]

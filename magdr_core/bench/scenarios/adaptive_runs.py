"""Keeps the runs inside a cell of an adaptive attack, so that a killed benchmark goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from magdr_core.adaptive.attack import Memory
from magdr_core.adaptive.attempt import Ended
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.results.store import Store

KIND = "runs"


class KeptRuns:
    """The runs of one cell in the store, until the cell itself is there.

    Args:
        take_passes: gives the generator's passes since the last time.
        about: what the cell depends on, its key.

    Attributes:
        passes: that the cell's attack has taken so far, in this process or before.
    """

    def __init__(self, store: Store, take_passes: Callable[[], int], about: str) -> None:
        self.store, self.about = store, about
        self._take_passes = take_passes
        self._keys: list[str] = []
        self.passes = 0

    def count(self) -> int:
        """The passes so far."""
        self.passes += self._take_passes()
        return self.passes

    def of(self, clean: Samples) -> Memory:
        """The memory of a batch."""
        count = len(clean)

        def memory(name: str, make: Callable[[], Ended]) -> Ended:
            key = digest([self.about, list(clean.ids), name])
            self._keys.append(key)
            self.count()
            told = self.store.json(KIND, key, _check)
            both = None if told is None else self.store.images(key, (2 * count, *clean.images.shape[1:]))
            if told is not None and both is not None:
                self.passes += told["passes"]
                own, best = both.to(clean.images.device).chunk(2)
                return Ended(own, best, told["bad"])
            ended = make()
            spent = self._take_passes()
            self.passes += spent
            self.store.put_images(key, torch.cat([ended.own, ended.best]))
            self.store.put_json(KIND, key, {"passes": spent, "bad": ended.bad})
            return ended

        return memory

    def forget(self) -> None:
        """Remove the runs: what they found is in the cell."""
        for key in self._keys:
            self.store.forget(KIND, key)


def _check(data: Any) -> None:
    if not isinstance(data.get("passes"), int) or not isinstance(data.get("bad"), float):
        raise ValueError("is no run of an adaptive attack")

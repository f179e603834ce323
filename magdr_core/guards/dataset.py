"""Core's wrapper around a dataset: its faults are its own, and what it gives is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import CLIPS, FRAMES, Batch
from magdr_core.components.threads import single_thread
from magdr_core.guards.base import Guard
from magdr_core.isolation.expectations import expect


class GuardedDataset(Guard):
    """A dataset whose splits are guarded too; whatever else it has is its own."""

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self._known: dict[str, frozenset[str]] = {}

    def split(self, name: str) -> GuardedSplit:
        """One of its splits.

        Raises:
            ComponentError: it fails, or gives something that has no length or no images.
        """
        found = self.contained(lambda: self.component.split(name))
        if not (hasattr(found, "__len__") and hasattr(found, "__getitem__")):
            raise self.fail(f"split({name!r}) is a {type(found).__name__}, expected a split")
        guard = GuardedPairedSplit if hasattr(found, "edited") else GuardedSplit
        return guard(found, self)

    def known_of(self, split: str) -> frozenset[str]:
        """The names of what is known of a split's pictures, by its first one; looked at once.

        Raises:
            ComponentError: it fails.
        """
        if split not in self._known:
            rows = self.split(split)
            self._known[split] = frozenset(rows[[0]].annotations) if len(rows) else frozenset()
        return self._known[split]

    def fingerprint(self) -> str:
        """What names the data in the keys of results."""
        found: Any = self.contained(self.component.fingerprint)
        if type(found) is not str or not found:
            raise self.fail(f"fingerprint is a {type(found).__name__}, expected a text")
        return found

    def __getattr__(self, name: str) -> Any:
        if name == "component":
            raise AttributeError(name)
        return getattr(self.component, name)


class GuardedSplit:
    """A split, `split[indices] -> Batch`, whose batches hold together."""

    def __init__(self, split: Any, guard: GuardedDataset) -> None:
        self._split, self._guard = split, guard

    def __len__(self) -> int:
        found: int = self._guard.contained(lambda: len(self._split))
        return found

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """Raises ComponentError if it fails, or what it gives is no batch of as many images."""
        with single_thread():
            batch: Any = self._guard.contained(lambda: self._split[indices])
        fail = self._guard.fail
        if not isinstance(batch, Batch):
            raise fail(f"gave a {type(batch).__name__}, expected a Batch")
        n = len(indices)
        images = self._guard.tensor(batch.images, "gave")
        if images.ndim != 4 or images.shape[:2] != (n, 3) or images.dtype != torch.float32:
            raise fail(f"gave images {tuple(images.shape)} {images.dtype}, expected float32 [{n},3,H,W]")
        if len(batch.ids) != n or not all(isinstance(one, str) for one in batch.ids):
            raise fail(f"gave {len(batch.ids)} ids for {n} images")
        self._guard.images(images, images, "gave")
        for name, value in batch.annotations.items():
            self._known(name, value, n)
        return batch

    def _known(self, name: Any, value: Any, n: int) -> None:
        """Raises ComponentError if an annotation has not a finite row for each of `n` images."""
        fail = self._guard.fail
        if not isinstance(name, str):
            raise fail(f"gave an annotation called {name!r}, expected a text")
        what = f"gave {name}:"
        value = self._guard.tensor(value, what)
        if not value.ndim or len(value) != n:
            raise fail(f"{what} {tuple(value.shape)}, expected [{n}, ...]: a row for each image")
        if name in (CLIPS, FRAMES) and (value.ndim != 1 or value.dtype != torch.int64):
            raise fail(
                f"{what} {tuple(value.shape)} {value.dtype}, expected a number [{n}] int64 for each image"
            )
        if value.is_floating_point():
            expect(torch.isfinite(value.detach()).all(), lambda: fail(f"{what} NaN or infinite values"))

    def __getattr__(self, name: str) -> Any:
        if name in ("_split", "_guard"):
            raise AttributeError(name)
        return getattr(self._split, name)


class GuardedPairedSplit(GuardedSplit):
    """One that can also draw the exact result of an edit."""

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """The exact result of an edit of some pictures, `[n,3,H,W]` in [0,1].

        Args:
            indices: n of them.
            changes: by attribute its new values, `[n]`.
        """
        found: Tensor = self._guard.contained(lambda: self._split.edited(indices, changes))
        return found

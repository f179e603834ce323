"""Growing a run: what the store has of some images serves a run of more of them.

A cell's key and that of attacked images hold which images they are of, so a run of eight images finds nothing
of a run of seven. An index beside them, named by everything else that they depend on, says which results are
there and of which images; only those that are missing are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import SharedImages
from magdr_core.guards import GuardedGenerator
from magdr_core.measures.image_quality import Yardstick
from magdr_core.results.store import Store

KIND = "growing"

KEPT = "images_kept"
"""Of a cell that was computed just now: how many of its images the store had results of."""

MOST = 16
"""Results that an index names, the latest ones."""


@dataclass(frozen=True)
class Indexed:
    """A result of the store: its key, and the ids of its images in their order."""

    key: str
    ids: tuple[str, ...]


def known(store: Store, about: Any) -> list[Indexed]:
    """The results that the store has of whatever depends on this, as JSON, and on images; latest first."""
    data = store.json(KIND, digest(about), _check)
    results = [] if data is None else data["results"]
    return [Indexed(one["key"], tuple(one["ids"])) for one in reversed(results)]


def remember(store: Store, about: Any, key: str, ids: Sequence[str]) -> None:
    """Have the index name a result, which is in the store. Where two processes do so at once one of the two
    may be lost, which costs time and nothing else."""
    others = [one for one in reversed(known(store, about)) if one.key != key]
    results = [{"key": one.key, "ids": list(one.ids)} for one in [*others, Indexed(key, tuple(ids))]]
    store.put_json(KIND, digest(about), {"results": results[-MOST:]})


def _check(data: Mapping[str, Any]) -> None:
    """Raises ValueError if it is no index."""
    results = data.get("results")
    if not isinstance(results, list):
        raise ValueError("is no index of results")
    for one in results:
        if not isinstance(one, dict) or not isinstance(one.get("key"), str):
            raise ValueError("names a result without a key")
        ids = one.get("ids")
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise ValueError("names a result without the ids of its images")


def kept_rows(store: Store, about: Any, clean: Samples) -> dict[str, Tensor]:
    """By id those of the images that some set in the store holds, each `[3,H,W]`."""
    found: dict[str, Tensor] = {}
    for one in known(store, about):
        wanted = [name for name in one.ids if name in clean.ids and name not in found]
        if not wanted:
            continue
        images = store.images(one.key, (len(one.ids), *clean.images.shape[1:]))
        if images is not None:
            rows = dict(zip(one.ids, images, strict=True))
            found |= {name: rows[name] for name in wanted}
    return found


def disjoint(results: Sequence[Indexed], ids: Sequence[str]) -> list[Indexed]:
    """Results of nothing but these images, no image twice; larger ones first."""
    there, chosen = set(ids), list[Indexed]()
    for one in sorted(results, key=lambda one: -len(one.ids)):
        if there.issuperset(one.ids):
            there -= set(one.ids)
            chosen.append(one)
    return chosen


class SomeImages:
    """Some of the images that the cells of one task and seed share: a
    :class:`~magdr_core.components.scenario.SharedImages` of these rows.

    Args:
        whole: all of them.
        rows: indices.
        watch: told every tensor that is made, `[n,3,H,W]`, to see that nobody changes it.
    """

    def __init__(
        self, whole: SharedImages, rows: Sequence[int], watch: Callable[[str, Tensor], None]
    ) -> None:
        self.whole, self.rows = whole, list(rows)
        self.toolkit, self.profile = whole.toolkit, whole.profile
        self.task, self.seed = whole.task, whole.seed
        self.data, self.progress = whole.data, whole.progress
        self._watch = watch
        self._clean: dict[bool, Samples] = {}

    @property
    def G(self) -> GuardedGenerator:
        found: GuardedGenerator = self.whole.G
        return found

    def clean(self, oracle: bool, part: Slice | None = None) -> Samples:
        if oracle not in self._clean:
            self._clean[oracle] = self._rows_of(self.whole.clean(oracle))
            self._watch("clean images", self._clean[oracle].images)
        return self._clean[oracle]

    def drawn(self, seed: int) -> Samples:
        return self._rows_of(self.whole.drawn(seed))

    def drawn_for(self, generator: GuardedGenerator) -> Samples:
        return self._rows_of(self.whole.drawn_for(generator))

    def attack(self, label: str, surrogate: str = "") -> Any:
        return self.whole.attack(label, surrogate)

    def learned(self, label: str, surrogate: str = "") -> str | None:
        return self.whole.learned(label, surrogate)

    def defense(self, label: str) -> Any:
        return self.whole.defense(label)

    def _rows_of(self, samples: Samples) -> Samples:
        ids = tuple(samples.ids[i] for i in self.rows)
        return Samples(samples.images[self.rows], samples.conditions[self.rows], ids)

    @cached_property
    def reference(self) -> Tensor:
        """The outputs on these images when clean, `[n,3,H,W]`."""
        clean = self.clean(False)
        found = evaluate.outputs(clean.images, clean, self.G)
        self._watch("clean outputs", found)
        return found

    def of(self, part: Slice) -> Tensor:
        """These images of a slice, `[n,3,H,W]`, 8-bit."""
        return self.whole.of(part)[self.rows]

    def key(self, part: Slice) -> dict[str, Any]:
        return self.whole.key(part)

    def lasting_key(self, part: Slice) -> dict[str, Any]:
        return self.whole.lasting_key(part)

    def some(self, rows: Sequence[int]) -> SharedImages:
        return self.whole.some([self.rows[i] for i in rows])


class SomeRun:
    """A task's cells on some of its images: a :class:`~magdr_core.components.scenario.TaskRun`.

    Args:
        run: the cells on all of them.
        images: these.
    """

    def __init__(self, run: Any, images: SharedImages) -> None:
        self.run, self.images = run, images

    @cached_property
    def yardsticks(self) -> evaluate.Yardsticks:
        found: evaluate.Yardsticks = self.run.yardsticks_of(self.images)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)


def yardsticks(images: SharedImages, encoder: Any) -> evaluate.Yardsticks:
    """The clean inputs and the outputs on them, to measure restored ones against.

    Args:
        encoder: a face parser, or None.
    """
    clean = images.clean(False)
    region = None if encoder is None else evaluate.target_region(clean, encoder, images.G)
    return evaluate.Yardsticks(Yardstick(clean.images, encoder), Yardstick(images.reference, encoder, region))


def assembled(ids: Sequence[str], rows: Mapping[str, Tensor]) -> Tensor:
    """`[n,3,H,W]`, in the order of the ids."""
    return torch.stack([rows[name] for name in ids])

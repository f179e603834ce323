"""The images that the cells of one task and seed share: clean, attacked, noisy, and what G makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate
from magdr_core.bench.plan import Slice
from magdr_core.calibration import Progress
from magdr_core.functional import to_8bit
from magdr_core.guard import GuardedAttack, GuardedGenerator
from magdr_core.identity import digest
from magdr_core.protocols import Dataset
from magdr_core.registry import Profile
from magdr_core.samples import attack_samples, draw_samples
from magdr_core.store import Store
from magdr_core.toolkit import Toolkit
from magdr_core.types import Samples


@dataclass(frozen=True, eq=False)
class Workplace:
    """What all parts of a benchmark work with.

    Attributes:
        environment: what results may depend on besides components and data; part of every key.
        progress: told (what, done, total) of long steps.
        report: told one-line messages.
    """

    toolkit: Toolkit
    profile: Profile
    store: Store
    environment: Mapping[str, Any]
    progress: Progress
    report: Callable[[str], None]


class GroupImages:
    """Images of one task and seed, drawn or attacked once and kept in the store."""

    def __init__(self, work: Workplace, task: str, seed: int, G: GuardedGenerator, data: Dataset) -> None:
        self.work, self.task, self.seed = work, task, seed
        self.G, self.data = G, data
        self._clean: dict[bool, Samples] = {}
        self._reference: Tensor | None = None
        self._images: dict[str, Tensor] = {}
        self.identities: list[int] = []

    def clean(self, oracle: bool) -> Samples:
        if oracle not in self._clean:
            samples, identities = draw_samples(
                self.data.split(self.work.profile.split),
                self.G,
                first=self.work.profile.first,
                count=self.work.profile.samples,
                seed=self.seed,
                oracle=oracle,
            )
            self._clean[oracle], self.identities = samples, identities.tolist()
        return self._clean[oracle]

    @property
    def reference(self) -> Tensor:
        """The outputs on clean images."""
        if self._reference is None:
            clean = self.clean(False)
            self._reference = evaluate.outputs(clean.images, clean, self.G)
        return self._reference

    def key(self, part: Slice) -> Any:
        profile = self.work.profile
        kind = {"attack": "attack", "noise": "attack", "benign": "augmentation"}.get(part.role)
        facts = {
            "generator": self.work.toolkit.resolve("generator", self.task).identity,
            "data": [self.data.fingerprint(), profile.split, profile.first, profile.samples, self.seed],
            "environment": self.work.environment,
            "slice": None if kind is None else self.work.toolkit.resolve(kind, part.label).identity,
            # Noise of an attack's strength has no table of its own.
            "noise": part.eps if part.role == "noise" else None,
        }
        return facts

    def of(self, part: Slice) -> Tensor:
        """The images of a slice, from the store where they are there."""
        if part.name in self._images:
            return self._images[part.name]
        clean = self.clean(False)
        if part.role == "clean":
            return clean.images
        key = digest(self.key(part))
        images = self.work.store.images(key)
        if images is None or images.shape != clean.images.shape:
            images = self._make(part, clean)
            self.work.store.put_images(key, images)
        self._images[part.name] = images.to(clean.images.device)
        return self._images[part.name]

    def _make(self, part: Slice, clean: Samples) -> Tensor:
        if part.role == "benign":
            f = self.work.toolkit.build("augmentation", part.label)
            return torch.cat([to_8bit(f(b.images)) for b in clean.batches(evaluate.BATCH)])
        if part.role == "noise":
            attack: GuardedAttack = self.work.toolkit.sibling("attack", part.component, eps=part.eps)
        else:
            attack = self.work.toolkit.build("attack", part.label)
        parts = []
        for b in clean.batches(evaluate.BATCH):
            parts.append(attack_samples(b, attack, self.G, name=part.component, seed=self.seed))
            self.work.progress(f"attacking ({part.name})", sum(map(len, parts)), len(clean))
        return torch.cat(parts)

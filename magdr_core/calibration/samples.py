"""The faces that calibration looks at: clean, attacked, with noise and with benign edits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch

from magdr_core.calibration.partition import CalibrationPart, CalibrationPartition, PartName
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import CORE, digest
from magdr_core.components.protocols import Dataset
from magdr_core.components.rng import SampleRng
from magdr_core.functional import to_8bit
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.isolation.copies import private, tensors_in
from magdr_core.isolation.shared import Shared
from magdr_core.isolation.shared_tensors import find_networks
from magdr_core.registry.parsed import Registry
from magdr_core.registry.settings import CalibrationPolicy
from magdr_core.results.store import Store
from magdr_core.runtime.samples import attack_samples, draw_samples

Progress = Callable[[str, int, int], None]
"""Told (what, done, total)."""


class CalibratedToolkit(Protocol):
    """The part of a toolkit that calibration needs."""

    @property
    def registry(self) -> Registry: ...

    def resolve(self, kind: str, label: str) -> Any: ...

    def build(self, kind: str, label: str, **injected: Any) -> Any: ...

    def sibling(self, kind: str, use: str, **params: Any) -> Any: ...

    def rng(self, component: str, ids: Iterable[str], seed: int | None = None) -> SampleRng: ...


class CalibrationSamples:
    """Samples of each part of a task's calibration, the same for every component.

    Args:
        toolkit: builds noise and benign edits.
        data: the dataset.
        generator: of the task; conditions are drawn for it, and attacks are made on it.
        store: where attacked images are kept.
        attack: the attack of a label, which has learned what it learns.
        identity: everything that can change the images of a label's attack, JSON-able.
        progress: told (what, done, total).

    Attributes:
        partition: which faces are for what.
        shared: what components share: verified before anything that was computed beside it is kept.
        attacks: by label of the policy, that of the attack which it means on this task.
    """

    def __init__(
        self,
        toolkit: CalibratedToolkit,
        data: Dataset,
        generator: GuardedGenerator,
        store: Store,
        *,
        attack: Callable[[str], GuardedAttack],
        identity: Callable[[str], Any],
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self.toolkit = toolkit
        self.data = data
        self.generator = generator
        self.store = store
        self.attack = attack
        self.identity = identity
        self.progress = progress
        self.policy: CalibrationPolicy = toolkit.registry.calibration
        self.partition = CalibrationPartition.of(self.policy)
        self.shared = Shared()
        self.shared.add_networks("the generator", find_networks(generator))
        registry = toolkit.registry
        self.attacks = {a: registry.attack_on(generator.label, a) for a in self.policy.attacks}
        self._attacks: dict[tuple[str, PartName, bool], tuple[Samples, Samples]] = {}

    def clean(self, name: PartName, oracle: bool) -> Samples:
        """The faces of a part, each with an edit that changes something.

        Args:
            oracle: attach exact masks to the conditions.

        Raises:
            DataError: the split has too few faces, or none has exact masks although they are wanted.
        """
        part = self.partition.part(name)
        return draw_samples(
            self.data.split(part.split),
            self.generator,
            first=part.first,
            count=part.count,
            seed=self.policy.seed,
            oracle=oracle,
        )[0]

    def attacked(self, label: str, name: PartName, oracle: bool) -> tuple[Samples, Samples]:
        """(attacked, clean) samples of a part, from the store where they are there; the caller's own copies.

        Args:
            label: of the policy's attack.

        Raises:
            ComponentError: the attack fails, or changes what components share.
            DataError: as for :meth:`clean`.
        """
        label = self.attacks[label]
        memo = (label, name, oracle)
        if memo not in self._attacks:
            clean = self.clean(name, oracle)
            key = self._key(label, self.partition.part(name))
            images = self.store.images(key, clean.images.shape)
            if images is None:
                images = self._attack(label, name, clean)
                self.store.put_images(key, images)
            self._attacks[memo] = (clean.with_images(images.to(clean.images.device)), clean)
            for tensor in tensors_in(self._attacks[memo]):
                self.shared.add("calibration images", tensor)
        attacked, clean = self._attacks[memo]
        return private((attacked, clean))

    def _key(self, label: str, part: CalibrationPart) -> str:
        return digest(
            {
                "core": CORE,
                "attack": self.identity(label),
                "generator": self.toolkit.resolve("generator", self.generator.label).identity,
                "data": [self.data.fingerprint(), part.split, part.first, part.count, self.policy.seed],
            }
        )

    def _attack(self, label: str, name: PartName, clean: Samples) -> torch.Tensor:
        part, known_as = self.partition.part(name), self.toolkit.resolve("attack", label).entry.name
        attack = self.shared.while_built(lambda: self.attack(label))
        found: list[torch.Tensor] = []
        together = clean.together("calibrate")
        said = f"attacking {part.split} faces ({label})"
        self.progress(said, 0, part.count)
        for batch in clean.batches(together):
            found.append(attack_samples(batch, attack, self.generator, name=known_as, seed=self.policy.seed))
            self.progress(said, min(len(found) * together, part.count), part.count)
        self.shared.check(attack.where)
        return torch.cat(found)

    def harmless(self, name: PartName, oracle: bool) -> dict[str, Samples]:
        """Noise of each attack's strength, and benign edits, of a part's faces, by what they are.

        Raises:
            ComponentError: an edit fails.
            DataError: as for :meth:`clean`.
        """
        clean = self.clean(name, oracle)
        edited: dict[str, Samples] = {}
        attacks = [self.toolkit.resolve("attack", a) for a in self.attacks.values()]
        strengths = [one.entry.spec.strength(one.params) for one in attacks]
        for eps in dict.fromkeys(strengths):
            noise = self.toolkit.sibling("attack", "noise", eps=eps)
            parts = [
                attack_samples(b, noise, self.generator, name="noise", seed=self.policy.seed)
                for b in clean.batches("calibrate")
            ]
            edited[f"noise@{eps * 255:g}"] = clean.with_images(torch.cat(parts))
        for label in self.policy.benign:
            f = self.toolkit.build("augmentation", label)
            parts = [to_8bit(f(b.images)) for b in clean.batches("calibrate")]
            edited[f"benign:{label}"] = clean.with_images(torch.cat(parts))
        return edited

"""The images that the cells of one task and seed share: clean, attacked, noisy, and what G makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate
from magdr_core.bench.plan import Slice
from magdr_core.calibration import Progress
from magdr_core.components.batch import Condition, Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.protocols import Dataset
from magdr_core.components.rng import SampleRng
from magdr_core.errors import ComponentError, DataError
from magdr_core.functional import to_8bit
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.isolation.copies import tensors_in
from magdr_core.isolation.expectations import deferred
from magdr_core.isolation.shared_tensors import SharedTensors, find_networks
from magdr_core.registry.settings import Profile
from magdr_core.results.store import Store
from magdr_core.runtime.samples import attack_samples, draw_samples, objective_of
from magdr_core.toolkit import Toolkit

MOST_DRAWS = 64
"""An attacker who does not know the condition draws so often, until it is another one."""


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

    def __init__(
        self,
        work: Workplace,
        task: str,
        seed: int,
        G: GuardedGenerator,
        data: Dataset,
        shared: SharedTensors | None = None,
    ) -> None:
        self.work, self.task, self.seed = work, task, seed
        self.G, self.data = G, data
        self._clean: dict[bool, Samples] = {}
        self._reference: Tensor | None = None
        self._images: dict[Slice, Tensor] = {}
        self.identities: list[int] = []
        self.shared = shared or SharedTensors()
        """All that cells share; verified before a cell is kept."""
        self.shared.add_networks("the generator", find_networks(G))

    def clean(self, oracle: bool, part: Slice | None = None) -> Samples:
        """The clean samples, or those of a slice."""
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
            for tensor in tensors_in(samples):
                self.shared.add("clean images", tensor)
        clean = self._clean[oracle]
        return clean if part is None or part.samples is None else clean[: part.samples]

    @property
    def reference(self) -> Tensor:
        """The outputs on clean images."""
        if self._reference is None:
            clean = self.clean(False)
            self._reference = evaluate.outputs(clean.images, clean, self.G)
            self.shared.add("clean outputs", self._reference)
        return self._reference

    def key(self, part: Slice) -> Any:
        profile, toolkit = self.work.profile, self.work.toolkit
        count = min(profile.samples, part.samples or profile.samples)
        kind = {"attack": "attack", "noise": "attack", "sweep": "attack", "benign": "augmentation"}.get(
            part.role
        )
        facts = {
            "generator": toolkit.resolve("generator", self.task).identity,
            "data": [self.data.fingerprint(), profile.split, profile.first, count, self.seed],
            "environment": self.work.environment,
            "slice": None if kind is None else toolkit.resolve(kind, part.label).identity,
            # Noise of an attack's strength has no table of its own.
            "noise": part.eps if part.role == "noise" else None,
        }
        if part.role == "sweep":
            facts["checkpoint"] = part.steps
        if part.transfer is not None:
            surrogate = part.transfer.surrogate
            facts["transfer"] = [
                toolkit.resolve("generator", surrogate).identity if surrogate else None,
                part.transfer.condition,
            ]
        return facts

    def of(self, part: Slice) -> Tensor:
        """The images of a slice, from the store where they are there."""
        if part in self._images:
            return self._images[part]
        clean = self.clean(False, part)
        if part.role == "clean":
            return clean.images
        images = self.work.store.images(digest(self.key(part)), clean.images.shape)
        if images is None:
            with deferred():
                made = self._sweep(part, clean) if part.role == "sweep" else {part: self._make(part, clean)}
            self.check_shared(f"attack or edit {part.name}")
            for one, of_one in made.items():
                self.work.store.put_images(digest(self.key(one)), of_one)
            images = made[part]
        self._images[part] = images.to(clean.images.device)
        self.shared.add(f"images of {part.name}", self._images[part])
        return self._images[part]

    def check_shared(self, where: str) -> None:
        """Mend what cells share if it has changed, and raise ComponentError of `where`: nothing that was
        computed beside it is kept."""
        if changed := ", ".join(self.shared.restore()):
            raise ComponentError(f"{where}: changes tensors that it shares with others ({changed})")

    def beside(self, part: Slice, indices: list[int]) -> list[Tensor]:
        """Clean and received images of these samples, each followed by the outputs on them: the first four
        of `BESIDE`."""
        clean = self.clean(False)
        samples = Samples(
            clean.images[indices], clean.conditions[indices], tuple(clean.ids[i] for i in indices)
        )
        received = self.of(part)[indices]
        outputs = evaluate.outputs(received, samples, self.G)
        return [samples.images, self.reference[indices], received, outputs]

    def _make(self, part: Slice, clean: Samples) -> Tensor:
        if part.role == "benign":
            f = self.work.toolkit.build("augmentation", part.label)
            return torch.cat([to_8bit(f(b.images)) for b in clean.batches(evaluate.BATCH)])
        if part.role == "noise":
            attack: GuardedAttack = self.work.toolkit.sibling("attack", part.component, eps=part.eps)
        else:
            attack = self.work.toolkit.build("attack", part.label)
        G = self.G
        if part.transfer is not None:
            if part.transfer.surrogate:
                G = self.work.toolkit.generator(part.transfer.surrogate)
            if part.transfer.condition == "unknown":
                clean = self._other_conditions(clean)
        parts = []
        for b in clean.batches(evaluate.BATCH):
            parts.append(attack_samples(b, attack, G, name=part.component, seed=self.seed))
            self._told(part, parts, clean)
        return torch.cat(parts)

    def _sweep(self, part: Slice, clean: Samples) -> dict[Slice, Tensor]:
        """All checkpoints of the run that `part` is one of."""
        sweep = self.work.profile.sweep
        assert sweep is not None
        points = [replace(part, steps=n) for n in sorted({*sweep.steps, part.steps})]
        attack: GuardedAttack = self.work.toolkit.build("attack", part.label)
        parts = []
        for b in clean.batches(evaluate.BATCH):
            rng = SampleRng(self.seed, f"attack/{part.component}", b.ids, device=b.images.device)
            objective = objective_of(attack, self.G, b)
            found = attack.checkpoints(b.images, objective, [p.steps for p in points], rng=rng)
            parts.append(torch.stack(found, 1))
            self._told(part, parts, clean)
        return dict(zip(points, torch.cat(parts).unbind(1), strict=True))

    def _told(self, part: Slice, parts: Sequence[Tensor], clean: Samples) -> None:
        self.work.progress(f"attacking ({part.name})", sum(map(len, parts)), len(clean))

    def _other_conditions(self, clean: Samples) -> Samples:
        """The same images with conditions that an attacker draws, none of them the defender's.

        Raises:
            DataError: some image has but one condition.
        """
        values, changed = clean.conditions.values.clone(), clean.conditions.changed.clone()
        missing = torch.ones(len(clean), dtype=torch.bool, device=values.device)
        for attempt in range(MOST_DRAWS):
            drawn, _ = draw_samples(
                self.data.split(self.work.profile.split),
                self.G,
                first=self.work.profile.first,
                count=self.work.profile.samples,
                seed=int(digest(["attacker", self.seed, attempt]), 16),
            )
            other = drawn.conditions
            new = missing & (other.values != clean.conditions.values).any(1)
            values[new], changed[new] = other.values[new], other.changed[new]
            missing &= ~new
            if not bool(missing.any()):
                return Samples(clean.images, Condition(values, changed), clean.ids)
        raise DataError(
            f"{int(missing.sum())} of {len(clean)} images had no other condition in {MOST_DRAWS} draws"
        )

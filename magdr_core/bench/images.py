"""The images that the cells of one task and seed share: clean, attacked, noisy, and what G makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from magdr_core.bench import evaluate, growth, registered
from magdr_core.bench.growth import SomeImages
from magdr_core.bench.roles.defense import ready_defense
from magdr_core.calibration import Calibrator, Progress
from magdr_core.components.batch import Samples
from magdr_core.components.cells import ReadyDefense
from magdr_core.components.fingerprints import digest
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import SharedImages
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.isolation.copies import tensors_in
from magdr_core.isolation.expectations import deferred
from magdr_core.registry.settings import Profile
from magdr_core.results.store import Store
from magdr_core.runtime.samples import draw_samples
from magdr_core.toolkit import Toolkit


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

    def __init__(self, work: Workplace, task: str, seed: int, calibrator: Calibrator) -> None:
        self.work, self.task, self.seed = work, task, seed
        self.toolkit, self.profile, self.progress = work.toolkit, work.profile, work.progress
        self.scenarios = registered.scenarios(work.toolkit)
        self.calibrator = calibrator
        self.G, self.data = calibrator.generator, calibrator.data
        self._clean: dict[bool, Samples] = {}
        self._reference: Tensor | None = None
        self._images: dict[Slice, Tensor] = {}
        self._some: dict[tuple[int, ...], SharedImages] = {}
        self._defenses: dict[str, ReadyDefense] = {}
        self.identities: list[int] = []
        self.shared = calibrator.shared
        """All that cells share; verified before a cell is kept."""

    def clean(self, oracle: bool, part: Slice | None = None) -> Samples:
        """The clean samples, or those of a slice."""
        if oracle not in self._clean:
            samples, identities = self._drawn(self.seed, oracle=oracle)
            self._clean[oracle], self.identities = samples, identities.tolist()
            for tensor in tensors_in(samples):
                self.shared.add("clean images", tensor)
        clean = self._clean[oracle]
        return clean if part is None or part.samples is None else clean[: part.samples]

    @property
    def reference(self) -> Tensor:
        """The outputs on clean images, `[B,3,H,W]`."""
        if self._reference is None:
            clean = self.clean(False)
            self._reference = evaluate.outputs(clean.images, clean, self.G)
            self.shared.add("clean outputs", self._reference)
        return self._reference

    def attack(self, label: str, surrogate: str = "") -> GuardedAttack:
        """An attack of the registry; one that learns has learned, on the surrogate if there is one."""
        return self.calibrator.attack(label, surrogate)

    def learned(self, label: str, surrogate: str = "") -> str | None:
        """A hash of what an attack has learned; None of one that learns nothing."""
        return self.calibrator.learned(label, surrogate)

    def defense(self, label: str) -> ReadyDefense:
        """A defense of the registry, calibrated; a restoration's label stands for that restoration."""
        if label not in self._defenses:
            self._defenses[label] = ready_defense(self.calibrator, label, self.seed)
        return self._defenses[label]

    def drawn(self, seed: int) -> Samples:
        """The clean images with the conditions that another seed draws."""
        return self._drawn(seed, oracle=False)[0]

    def drawn_for(self, generator: GuardedGenerator) -> Samples:
        """The clean images with conditions that another generator draws."""
        return self._drawn(self.seed, oracle=False, generator=generator)[0]

    def _drawn(
        self, seed: int, *, oracle: bool, generator: GuardedGenerator | None = None
    ) -> tuple[Samples, Tensor]:
        return draw_samples(
            self.data.split(self.profile.split),
            generator or self.G,
            first=self.profile.first,
            count=self.profile.samples,
            seed=seed,
            oracle=oracle,
        )

    def some(self, rows: Sequence[int]) -> SharedImages:
        """The images with these indices alone."""
        wanted = tuple(rows)
        if wanted not in self._some:
            self._some[wanted] = SomeImages(self, wanted, self.shared.add)
        return self._some[wanted]

    def key(self, part: Slice) -> dict[str, Any]:
        """Everything that the images of a slice depend on, as JSON."""
        profile = self.profile
        count = min(profile.samples, part.samples or profile.samples)
        data = [self.data.fingerprint(), profile.split, profile.first, count, self.seed]
        return self._key(part, data)

    def lasting_key(self, part: Slice) -> dict[str, Any]:
        """The same without which images they are."""
        return self._key(part, [self.data.fingerprint(), self.profile.split, self.seed])

    def _key(self, part: Slice, data: list[Any]) -> dict[str, Any]:
        return {
            "generator": self.toolkit.resolve("generator", self.task).identity,
            "data": data,
            "environment": self.work.environment,
            **self.scenarios[part.scenario].images_key(self, part),
        }

    def of(self, part: Slice) -> Tensor:
        """The images of a slice, `[B,3,H,W]`, 8-bit, from the store where they are there."""
        if part in self._images:
            return self._images[part]
        clean, scenario = self.clean(False, part), self.scenarios[part.scenario]
        if not scenario.made:
            return scenario.make(self, part, clean)[part]
        images = self.work.store.images(digest(self.key(part)), clean.images.shape)
        if images is None:
            images = self._grown(part, clean) if scenario.grows else self._made(part, clean)
        self._images[part] = images.to(clean.images.device)
        self.shared.add(f"images of {part.name}", self._images[part])
        return self._images[part]

    def _made(self, part: Slice, clean: Samples) -> Tensor:
        """All images of a slice, made now."""
        with deferred():
            made = self.scenarios[part.scenario].make(self, part, clean)
        self.shared.check(f"attack or edit {part.name}")
        for one, images in made.items():
            self._keep(one, images, clean.ids)
        return made[part]

    def _grown(self, part: Slice, clean: Samples) -> Tensor:
        """All images of a slice, of which some may be there in sets of other images."""
        store = self.work.store
        there = growth.kept_rows(store, self._about(part), clean)
        missing = [i for i, name in enumerate(clean.ids) if name not in there]
        if len(missing) == len(clean):
            return self._made(part, clean)
        if missing:
            some = self.some(missing)
            own = some.clean(False)
            with deferred():
                made = self.scenarios[part.scenario].make(some, part, own)
            self.shared.check(f"attack or edit {part.name}")
            for one, images in made.items():
                rows = there if one == part else growth.kept_rows(store, self._about(one), clean)
                rows |= dict(zip(own.ids, images.cpu(), strict=True))
                if one == part or rows.keys() >= {*clean.ids}:
                    self._keep(one, growth.assembled(clean.ids, rows), clean.ids)
        else:
            self._keep(part, growth.assembled(clean.ids, there), clean.ids)
        return growth.assembled(clean.ids, there)

    def _about(self, part: Slice) -> Any:
        """What an index of a slice's images is named by."""
        return ["images", self.lasting_key(part)]

    def _keep(self, part: Slice, images: Tensor, ids: Sequence[str]) -> None:
        key = digest(self.key(part))
        self.work.store.put_images(key, images)
        if self.scenarios[part.scenario].grows:
            growth.remember(self.work.store, self._about(part), key, ids)

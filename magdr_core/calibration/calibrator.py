"""Fitting and thresholds of detectors and defenses, on the calibration split only.

Which faces are for what says :class:`~magdr_core.calibration.partition.CalibrationPartition`: no threshold is
set on faces that anything learned from.

Results are entries keyed by everything they depend on; `magdr calibrate` writes them to a file, and what no
file holds is computed and cached. What a component cannot load again is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.calibration.content import checked_entry, entry_or_none, kept_as_json
from magdr_core.calibration.file import read_calibration
from magdr_core.calibration.partition import PartName
from magdr_core.calibration.samples import CalibratedToolkit, CalibrationSamples, Progress
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import CORE, digest
from magdr_core.components.protocols import CalibratedDetector, Dataset, FitData, Fittable
from magdr_core.errors import CalibrationError, ComponentError, MagdrError, components_own, one_line
from magdr_core.guards import GuardedAttack, GuardedDefense, GuardedGenerator
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.isolation.expectations import deferred
from magdr_core.isolation.shared import Shared
from magdr_core.measures.thresholds import best_f1_threshold, threshold_at_fpr
from magdr_core.registry.settings import CalibrationPolicy
from magdr_core.results.store import Store
from magdr_core.runtime.samples import draw_samples, objective_of

LONG = 500
"""Faces of a calibration from which on it is told beforehand how many they are."""

REMEMBERED = 2**30
"""Bytes of generator outputs that components share."""


def wants_oracle(toolkit: CalibratedToolkit, kind: str, label: str) -> bool:
    """Whether a detector or defense, or the detector before it, is given exact masks."""
    resolved = toolkit.resolve(kind, label)
    if resolved.params.get("oracle"):
        return True
    detector = resolved.needs.get("detector")
    return isinstance(detector, str) and wants_oracle(toolkit, "detector", detector)


class Calibrator:
    """Calibrated components of one task.

    Args:
        toolkit: builds the components.
        task: label of the generator.
        dataset: label of the dataset.
        store: where computed entries and attacked calibration images are kept.
        shipped: folder of calibration files that came with the built-in components.
        progress: told (what, done, total).
        report: told one line before the first calibration that is computed, if it will be long.
    """

    def __init__(
        self,
        toolkit: CalibratedToolkit,
        task: str,
        dataset: str,
        store: Store,
        *,
        shipped: Path | None = None,
        progress: Progress = lambda what, done, total: None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.toolkit = toolkit
        self.task = task
        self.store = store
        self.generator: GuardedGenerator = toolkit.build("generator", task)
        self.generator.memory = OutputMemory(REMEMBERED)
        self.data: Dataset = toolkit.build("dataset", dataset)
        self.progress = progress
        self.report = report
        self._announced = False
        self.policy: CalibrationPolicy = toolkit.registry.calibration
        self.samples = CalibrationSamples(
            toolkit,
            self.data,
            self.generator,
            store,
            attack=self.attack,
            identity=self.attack_identity,
            progress=progress,
        )
        self.used: dict[str, dict[str, Any]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._entries: dict[str, dict[str, Any]] = {}
        self._files: dict[str, Path] = {}
        self._learners: dict[str, bool] = {}
        self._read_files(shipped)

    def _read_files(self, shipped: Path | None) -> None:
        """The registry's file, or the shipped ones; which entry came from which is kept for messages."""
        files = sorted(shipped.glob("*.calibration.json")) if shipped is not None else []
        if (named := self.toolkit.registry.calibration_file) is not None:
            files = [named]
        for path in files:
            entries = read_calibration(path)
            self._entries |= entries
            self._files |= dict.fromkeys(entries, path)

    @property
    def shared(self) -> Shared:
        """What components share: verified before anything that was computed beside it is kept."""
        return self.samples.shared

    # -- keys -------------------------------------------------------------------------------------------

    def key(self, kind: str, label: str) -> str:
        """The key of a component's entry: a hash of everything that its calibration depends on."""
        resolved = self.toolkit.resolve(kind, label)
        without = {"file", "reals", "attacks", "benign"} | (
            set() if resolved.entry.spec.supervised else {"train"}
        )
        policy = self.policy.model_dump(exclude=without)
        return digest(
            {
                "core": CORE,
                "component": resolved.identity,
                "generator": self.toolkit.resolve("generator", self.task).identity,
                "data": self.data.fingerprint(),
                "policy": policy,
                "attacks": [self.attack_identity(a) for a in self.samples.attacks.values()],
                "benign": [self.toolkit.resolve("augmentation", a).identity for a in self.policy.benign],
            }
        )

    def attack_identity(self, label: str) -> Any:
        """What an attack's images depend on, JSON-able; of one that learns, what it has learned too."""
        identity, learned = self.toolkit.resolve("attack", label).identity, self.learned(label)
        return identity if learned is None else [identity, learned]

    def wants_oracle(self, kind: str, label: str) -> bool:
        return wants_oracle(self.toolkit, kind, label)

    # -- components -------------------------------------------------------------------------------------

    def detector(self, label: str) -> CalibratedDetector:
        """A fitted detector with its thresholds.

        Raises:
            ComponentError: it cannot be fitted, or cannot load what it fitted; nothing of it is kept then.
            CalibrationError: the calibration file that the registry names has no entry of it, or a state that
                does not fit.
        """
        detector, entry = self._calibrated(
            "detector", label, lambda: self.toolkit.build("detector", label), self._calibrate_detector
        )
        return CalibratedDetector(detector, entry["thresholds"])

    def defense(self, label: str) -> GuardedDefense:
        """A fitted defense, with calibrated detectors where it needs them. Raises as :meth:`detector`."""
        resolved = self.toolkit.resolve("defense", label)
        injected = {
            name: self.detector(resolved.needs[name])
            for name, need in resolved.entry.spec.needs.items()
            if need.calibrated
        }

        def build() -> GuardedDefense:
            defense: GuardedDefense = self.toolkit.build("defense", label, **injected)
            return defense

        defense = build()
        if isinstance(defense.component, Fittable):
            return self._calibrated("defense", label, build, self._calibrate_defense)[0]
        return defense

    def attack(self, label: str, surrogate: str = "") -> GuardedAttack:
        """An attack; one that learns has learned, on faces of the train split.

        Args:
            surrogate: label of the generator that it learns on; the task's own if empty.

        Raises:
            ComponentError: it cannot be fitted, or cannot load what it fitted.
        """
        attack: GuardedAttack = self.toolkit.build("attack", label)
        return self._learned(label, surrogate)[0] if attack.learns else attack

    def learned(self, label: str, surrogate: str = "") -> str | None:
        """A hash of what an attack has learned, for keys of its images; None of one that learns nothing.
        Raises as :meth:`attack`."""
        if label not in self._learners:  # asked for each key, and a build may read weights
            try:
                self._learners[label] = self.toolkit.build("attack", label).learns
            except MagdrError as e:
                if not components_own(e):
                    raise
                return None  # whoever wants its images is told; a calibration that is there needs none
        return digest(self._learned(label, surrogate)[1]) if self._learners[label] else None

    def _learned(self, label: str, surrogate: str) -> tuple[GuardedAttack, dict[str, Any]]:
        task = self._first_learned_on(label) or surrogate or self.task
        own = task == self.task
        generator: GuardedGenerator = self.generator if own else self.toolkit.build("generator", task)

        def compute(label: str, attack: GuardedAttack) -> dict[str, Any]:
            with generator.plain():
                return self._fit_attack(label, attack, generator)

        key = digest(
            {
                "core": CORE,
                "component": self.toolkit.resolve("attack", label).identity,
                "aim": self.toolkit.build("attack", label).objective or generator.objective,
                "generator": self.toolkit.resolve("generator", task).identity,
                "data": [self.data.fingerprint(), self.policy.train, self.policy.seed],
            }
        )
        return self._calibrated("attack", label, lambda: self.toolkit.build("attack", label), compute, key)

    def _first_learned_on(self, label: str) -> str:
        """The first of the generators that an attack names to learn on; empty where it names none."""
        resolved = self.toolkit.resolve("attack", label)
        named = resolved.needs.get(resolved.entry.spec.learns_on) or ("",)
        first: str = named[0]
        return first

    def _fit_attack(self, label: str, attack: GuardedAttack, generator: GuardedGenerator) -> dict[str, Any]:
        part = self.samples.partition.train

        def on(generator: GuardedGenerator) -> FitData:
            clean, _ = draw_samples(
                self.data.split(part.split),
                generator,
                first=part.first,
                count=part.count,
                seed=self.policy.seed,
            )
            return FitData(
                clean=clean,
                attacked={},
                progress=lambda done, total: self.progress(f"fitting {label}", done, total),
                objective=lambda samples: objective_of(attack, generator, samples),
                on=on_another,
            )

        with ExitStack() as stack:

            def on_another(other: GuardedGenerator) -> FitData:
                if isinstance(other, GuardedGenerator):  # a handle is of the generator that is plain already
                    stack.enter_context(other.plain())
                return on(other)

            return {"state": _kept(attack, attack.fit(on(generator), generator))}

    def _calibrated(
        self,
        kind: str,
        label: str,
        build: Callable[[], Any],
        compute: Callable[[str, Any], dict[str, Any]],
        key: str = "",
    ) -> tuple[Any, dict[str, Any]]:
        """A component that has loaded its entry: a file's, the store's, else one that is computed now.

        Args:
            key: of the entry; what a detector's or defense's calibration depends on if empty.
        """
        key = key or self.key(kind, label)
        entry = self._entries.get(key) or entry_or_none(self.store.json("calibrations", key), kind)
        shared = self.samples.shared
        component = shared.while_built(build)
        if entry is not None:
            try:
                _load(component, entry["state"])
            except MagdrError as e:
                if key in self._files:
                    file = f"calibration file {str(self._files[key])!r}"
                    raise CalibrationError(f"{file}: entries.{key}.state does not fit: {one_line(e)}") from e
                entry, component = None, shared.while_built(build)  # the store's counts as absent
        if entry is None:
            if self.policy.file != "auto" and kind != "attack":  # a file is about those who defend
                raise CalibrationError(
                    f"{self.policy.file!r} has no calibration of [{kind}.{label}] as it is configured now; "
                    "run `magdr calibrate`"
                )
            if kind != "attack":  # which learns from `train` faces alone
                self._announce()
            with shared.used_by(component.where):
                with self.generator.plain(), deferred():
                    computed = compute(label, component)
                entry = self._complete(
                    component, {"kind": kind, "label": label, "task": self.task, **computed}
                )
            component = shared.while_built(build)  # as it will be when it is built for the stored entry
            _load(component, entry["state"])
            self.store.put_json("calibrations", key, entry)
        self._entries[key] = self.used[key] = entry
        self._keys[kind, label] = key
        return component, entry

    def _announce(self) -> None:
        """Say once how many faces are calibrated on, if they are many, and how there would be fewer."""
        faces, policy = sum(self.samples.partition.counts), self.policy
        if self._announced or faces < LONG:
            return
        self._announced = True
        self.report(
            f"{self.task}: calibrating on {faces:,} faces ([calibration] fit = {policy.fit}, clean = "
            f"{policy.clean}, attacked = {policy.attacked} twice), which is long without a GPU; smaller "
            "numbers there are quicker and make rougher thresholds"
        )

    def _complete(self, guarded: Any, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry to keep. Raises ComponentError if its numbers are none, by the component's fault."""
        try:
            return checked_entry(entry)
        except CalibrationError as e:
            raise ComponentError(f"{guarded.where}: calibration failed: {one_line(e)}") from e

    def digest_of(self, kind: str, label: str) -> str:
        """A hash of all calibration that a component uses, for result keys."""
        resolved = self.toolkit.resolve(kind, label)
        inner = [
            self.digest_of("detector", resolved.needs[name])
            for name, need in resolved.entry.spec.needs.items()
            if need.calibrated
        ]
        # What learns nothing has no key: it does not depend on the calibration's attacks either.
        key = self._keys.get((kind, label), "")
        return digest([self.used.get(key, {}), inner])

    # -- computing --------------------------------------------------------------------------------------

    def _fit(self, what: str, kind: str, label: str, guarded: Any) -> dict[str, Any]:
        component = guarded.component
        if not isinstance(component, Fittable):
            return {"state": {}}
        oracle = self.wants_oracle(kind, label)
        data = FitData(
            clean=self.samples.clean("fit", oracle),
            attacked=self._pairs("learned", oracle),
            held_out=self._pairs("held_out", oracle) if kind == "defense" else {},
            harmless=self.samples.harmless("learned", oracle),
            progress=lambda done, total: self.progress(what, done, total),
            training=lambda: self._pairs("train", oracle=False),
            training_harmless=lambda: self.samples.harmless("train", oracle=False),
        )
        return {"state": _kept(guarded, guarded.fit(data, self.generator))}

    def _pairs(self, part: PartName, oracle: bool) -> dict[str, tuple[Samples, Samples]]:
        """By attack label its (attacked, clean) samples of a part."""
        return {a: self.samples.attacked(a, part, oracle) for a in self.policy.attacks}

    def _calibrate_defense(self, label: str, defense: Any) -> dict[str, Any]:
        return self._fit(f"fitting {label}", "defense", label, defense)

    def _calibrate_detector(self, label: str, detector: Any) -> dict[str, Any]:
        fitted = self._fit(f"fitting {label}", "detector", label, detector)
        _load(detector, fitted["state"])
        oracle, policy = self.wants_oracle("detector", label), self.policy
        clean = self.scores(label, detector, self.samples.clean("clean", oracle))
        attacked_scores, paired_scores = [], []
        unseen = self.toolkit.resolve("detector", label).params.get("leave_out", ())
        for attack in [a for a in policy.attacks if a not in unseen]:
            attacked, paired = self.samples.attacked(attack, "held_out", oracle)
            attacked_scores.append(self.scores(label, detector, attacked))
            paired_scores.append(self.scores(label, detector, paired))
        positives, negatives = np.concatenate(attacked_scores), np.concatenate(paired_scores)
        return {
            **fitted,
            "thresholds": {
                "fpr": float(threshold_at_fpr(clean, policy.fpr)),
                "f1": best_f1_threshold(negatives, positives),
            },
            "clean": {
                "n": len(clean),
                "mean": float(clean.mean()),
                "std": float(clean.std()),
                "fpr": policy.fpr,
            },
        }

    @torch.no_grad()
    def scores(self, label: str, detector: Any, samples: Samples) -> np.ndarray[Any, Any]:
        """Scores `[n]` of samples by a guarded detector, told as progress under its label.

        Raises:
            ComponentError: it fails.
        """
        scores: list[Tensor] = []
        together = samples.together("calibrate")
        for batch in samples.batches(together):
            rng = self.toolkit.rng(label, batch.ids, self.policy.seed)
            scores.append(detector(batch.images, batch.conditions, self.generator, rng=rng))
            done = min(len(scores) * together, len(samples))
            self.progress(f"thresholds of {label}", done, len(samples))
        return torch.cat(scores).double().cpu().numpy()


def _kept(guarded: Any, state: Any) -> dict[str, Any]:
    """What `fit` returned, as it will be read again. Raises ComponentError if JSON cannot keep it."""
    try:
        return kept_as_json(state)
    except CalibrationError as e:
        raise ComponentError(f"{guarded.where}: what `fit` returned cannot be kept: {e}") from e


def _load(guarded: Any, state: Any) -> None:
    """Hand a component that learns its state. Raises ComponentError if it does not take it."""
    if isinstance(guarded.component, Fittable):
        guarded.load(state)

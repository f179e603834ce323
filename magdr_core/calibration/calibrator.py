"""Fitting and thresholds of detectors and defenses, on the calibration split only.

The split is cut in four that never meet: `fit` clean faces to standardise on, `clean` ones for the false-
positive threshold, `attacked` ones, clean and attacked, for the threshold with the best F1 and for MagDR's
gate, and as many again for what components learn from attacks, with noise and benign edits of the same
faces. Supervised baselines are offered attacked faces of the train split beside those.

Results are entries keyed by everything they depend on; `magdr calibrate` writes them to a file, and what no
file holds is computed and cached.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from magdr_core.calibration.thresholds import best_f1_threshold, threshold_at_fpr
from magdr_core.errors import CalibrationError, ComponentError, MagdrError, one_line
from magdr_core.functional import to_8bit
from magdr_core.guard import GuardedDefense, GuardedGenerator
from magdr_core.identity import digest
from magdr_core.memory import OutputMemory
from magdr_core.profiles import CalibrationPolicy
from magdr_core.protocols import CalibratedDetector, Dataset, FitData, Fittable
from magdr_core.registry import Registry
from magdr_core.rng import SampleRng
from magdr_core.samples import attack_samples, draw_samples
from magdr_core.store import Store
from magdr_core.types import Samples

Progress = Callable[[str, int, int], None]
SCHEMA = 1
SPLIT = "calibration"
SCORE_BATCH = 32
ATTACK_BATCH = 32

REMEMBERED = 2**30
"""Bytes of generator outputs that components share."""


class Parts(Protocol):
    """The part of a toolkit that calibration needs."""

    @property
    def registry(self) -> Registry: ...

    def resolve(self, kind: str, label: str) -> Any: ...

    def build(self, kind: str, label: str, **injected: Any) -> Any: ...

    def sibling(self, kind: str, use: str, **params: Any) -> Any: ...

    def rng(self, component: str, ids: Iterable[str], seed: int | None = None) -> SampleRng: ...


def wants_oracle(toolkit: Parts, kind: str, label: str) -> bool:
    """Whether a detector or defense, or the detector before it, is given exact masks."""
    resolved = toolkit.resolve(kind, label)
    if resolved.params.get("oracle"):
        return True
    detector = resolved.needs.get("detector")
    return isinstance(detector, str) and wants_oracle(toolkit, "detector", detector)


def read_calibration(path: Path) -> dict[str, Any]:
    """The entries of a calibration file.

    Raises:
        CalibrationError: missing, damaged or of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CalibrationError(f"calibration file {str(path)!r} does not exist") from None
    except (OSError, ValueError) as e:
        raise CalibrationError(f"calibration file {str(path)!r} is damaged: {e}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or "entries" not in data:
        raise CalibrationError(f"{str(path)!r} is not a calibration file of this version")
    entries: dict[str, Any] = data["entries"]
    return entries


class Calibrator:
    """Calibrated components of one task.

    Args:
        toolkit: builds the components.
        task: label of the generator.
        dataset: label of the dataset.
        store: where computed entries and attacked calibration images are kept.
        shipped: folder of calibration files that came with the built-in components.
        progress: told (what, done, total).
    """

    def __init__(
        self,
        toolkit: Parts,
        task: str,
        dataset: str,
        store: Store,
        *,
        shipped: Path | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self.toolkit = toolkit
        self.task = task
        self.store = store
        self.generator: GuardedGenerator = toolkit.build("generator", task)
        self.generator.memory = OutputMemory(REMEMBERED)
        self.data: Dataset = toolkit.build("dataset", dataset)
        self.progress = progress
        self.policy: CalibrationPolicy = toolkit.registry.calibration
        self.used: dict[str, dict[str, Any]] = {}
        self._entries = self._read_files(shipped)
        self._attacks: dict[tuple[str, int, int, bool, str], tuple[Samples, Samples]] = {}

    def _read_files(self, shipped: Path | None) -> dict[str, Any]:
        if self.policy.file != "auto":
            return read_calibration(self.toolkit.registry.path.parent / self.policy.file)
        entries: dict[str, Any] = {}
        for path in sorted(shipped.glob("*.calibration.json")) if shipped is not None else ():
            entries |= read_calibration(path)
        return entries

    # -- keys -------------------------------------------------------------------------------------------

    def key(self, kind: str, label: str) -> str:
        """The key of a component's entry: a hash of everything that its calibration depends on."""
        resolved = self.toolkit.resolve(kind, label)
        without = {"file", "attacks", "benign"} | (set() if resolved.entry.spec.supervised else {"train"})
        policy = self.policy.model_dump(exclude=without)
        return digest(
            {
                "component": resolved.identity,
                "generator": self.toolkit.resolve("generator", self.task).identity,
                "data": self.data.fingerprint(),
                "policy": policy,
                "attacks": [self.toolkit.resolve("attack", a).identity for a in self.policy.attacks],
                "benign": [self.toolkit.resolve("augmentation", a).identity for a in self.policy.benign],
            }
        )

    def wants_oracle(self, kind: str, label: str) -> bool:
        return wants_oracle(self.toolkit, kind, label)

    # -- components -------------------------------------------------------------------------------------

    def detector(self, label: str) -> CalibratedDetector:
        """A fitted detector with its thresholds."""
        detector = self.toolkit.build("detector", label)
        entry = self._entry("detector", label, lambda: self._calibrate_detector(label, detector))
        if isinstance(detector.component, Fittable):
            detector.component.load(entry["state"])
        return CalibratedDetector(detector, entry["thresholds"])

    def defense(self, label: str) -> GuardedDefense:
        """A fitted defense, with calibrated detectors where it needs them."""
        resolved = self.toolkit.resolve("defense", label)
        injected = {
            name: self.detector(resolved.needs[name])
            for name, need in resolved.entry.spec.needs.items()
            if need.calibrated
        }
        defense: GuardedDefense = self.toolkit.build("defense", label, **injected)
        if isinstance(defense.component, Fittable):
            entry = self._entry(
                "defense", label, lambda: self._fit(f"fitting {label}", "defense", label, defense)
            )
            defense.component.load(entry["state"])
        return defense

    def _entry(self, kind: str, label: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        key = self.key(kind, label)
        entry = self._entries.get(key) or self.store.json("calibrations", key)
        if entry is None:
            if self.policy.file != "auto":
                raise CalibrationError(
                    f"{self.policy.file!r} has no calibration of [{kind}.{label}] as it is configured now; "
                    "run `magdr calibrate`"
                )
            # Through JSON and back, so that a fresh entry and a stored one are the same to the last bit.
            with self.generator.plain():
                computed = compute()
            entry = json.loads(json.dumps({"kind": kind, "label": label, "task": self.task, **computed}))
            self.store.put_json("calibrations", key, entry)
        self._entries[key] = self.used[key] = entry
        return entry

    def digest_of(self, kind: str, label: str) -> str:
        """A hash of all calibration that a component uses, for result keys."""
        resolved = self.toolkit.resolve(kind, label)
        inner = [
            self.digest_of("detector", resolved.needs[name])
            for name, need in resolved.entry.spec.needs.items()
            if need.calibrated
        ]
        return digest([self.used.get(self.key(kind, label), {}), inner])

    # -- computing --------------------------------------------------------------------------------------

    def _clean(self, first: int, count: int, oracle: bool, split: str = SPLIT) -> Samples:
        return draw_samples(
            self.data.split(split),
            self.generator,
            first=first,
            count=count,
            seed=self.policy.seed,
            oracle=oracle,
        )[0]

    def _attacked(
        self, label: str, first: int, count: int, oracle: bool, split: str = SPLIT
    ) -> tuple[Samples, Samples]:
        """(attacked, clean) samples, from the store where they are there."""
        memo = (label, first, count, oracle, split)
        if memo not in self._attacks:
            clean = self._clean(first, count, oracle, split)
            resolved = self.toolkit.resolve("attack", label)
            key = digest(
                {
                    "attack": resolved.identity,
                    "generator": self.toolkit.resolve("generator", self.task).identity,
                    "data": [self.data.fingerprint(), split, first, count, self.policy.seed],
                }
            )
            images = self.store.images(key)
            if images is None or images.shape != clean.images.shape:
                attack = self.toolkit.build("attack", label)
                parts = []
                for batch in clean.batches(ATTACK_BATCH):
                    parts.append(
                        attack_samples(
                            batch, attack, self.generator, name=resolved.entry.name, seed=self.policy.seed
                        )
                    )
                    self.progress(f"attacking {split} faces ({label})", len(parts) * ATTACK_BATCH, count)
                images = torch.cat(parts)
                self.store.put_images(key, images)
            self._attacks[memo] = (clean.with_images(images.to(clean.images.device)), clean)
        return self._attacks[memo]

    def _harmless(self, first: int, count: int, oracle: bool) -> dict[str, Samples]:
        """Noise of each attack's strength, and benign edits, of the same faces."""
        clean = self._clean(first, count, oracle)
        edited: dict[str, Samples] = {}
        strengths = [float(self.toolkit.resolve("attack", a).params["eps"]) for a in self.policy.attacks]
        for eps in dict.fromkeys(strengths):
            noise = self.toolkit.sibling("attack", "noise", eps=eps)
            parts = [
                attack_samples(b, noise, self.generator, name="noise", seed=self.policy.seed)
                for b in clean.batches(ATTACK_BATCH)
            ]
            edited[f"noise@{eps * 255:g}"] = clean.with_images(torch.cat(parts))
        for label in self.policy.benign:
            f = self.toolkit.build("augmentation", label)
            parts = [to_8bit(f(b.images)) for b in clean.batches(ATTACK_BATCH)]
            edited[f"benign:{label}"] = clean.with_images(torch.cat(parts))
        return edited

    def _fit(self, what: str, kind: str, label: str, guarded: Any) -> dict[str, Any]:
        component = guarded.component
        if not isinstance(component, Fittable):
            return {"state": {}}
        oracle = self.wants_oracle(kind, label)
        policy = self.policy
        held_out = policy.fit + policy.clean
        first = held_out + policy.attacked

        def attacked(start: int) -> dict[str, tuple[Samples, Samples]]:
            return {a: self._attacked(a, start, policy.attacked, oracle) for a in policy.attacks}

        data = FitData(
            clean=self._clean(0, policy.fit, oracle),
            attacked=attacked(first),
            held_out=attacked(held_out) if kind == "defense" else {},
            harmless=self._harmless(first, policy.attacked, oracle),
            progress=lambda done, total: self.progress(what, done, total),
            training=lambda: {a: self._attacked(a, 0, policy.train, False, "train") for a in policy.attacks},
        )
        try:
            return {"state": component.fit(data, self.generator)}
        except MagdrError:
            raise
        except Exception as e:
            raise ComponentError(f"{guarded.where}: fitting failed: {one_line(e)}") from e

    def _calibrate_detector(self, label: str, detector: Any) -> dict[str, Any]:
        fitted = self._fit(f"fitting {label}", "detector", label, detector)
        if isinstance(detector.component, Fittable):
            detector.component.load(fitted["state"])
        oracle, policy = self.wants_oracle("detector", label), self.policy
        clean = self._scores(label, detector, self._clean(policy.fit, policy.clean, oracle))
        first = policy.fit + policy.clean
        attacked_scores, paired_scores = [], []
        unseen = self.toolkit.resolve("detector", label).params.get("leave_out", ())
        for attack in [a for a in policy.attacks if a not in unseen]:
            attacked, paired = self._attacked(attack, first, policy.attacked, oracle)
            attacked_scores.append(self._scores(label, detector, attacked))
            paired_scores.append(self._scores(label, detector, paired))
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
    def _scores(self, label: str, detector: Any, samples: Samples) -> np.ndarray[Any, Any]:
        scores: list[Tensor] = []
        for batch in samples.batches(SCORE_BATCH):
            rng = self.toolkit.rng(label, batch.ids, self.policy.seed)
            scores.append(detector(batch.images, batch.conditions, self.generator, rng=rng))
            done = min(len(scores) * SCORE_BATCH, len(samples))
            self.progress(f"thresholds of {label}", done, len(samples))
        return torch.cat(scores).double().cpu().numpy()


def calibration_file(entries: Mapping[str, Any], registry: Registry, fingerprint: str) -> dict[str, Any]:
    """The content of a calibration file, with where it comes from."""
    return {
        "schema": SCHEMA,
        "provenance": {
            "command": "magdr calibrate",
            "registry": registry.name,
            "policy": registry.calibration.model_dump(exclude={"file"}),
            "data": fingerprint,
            "magdr": version("magdr"),
            "torch": version("torch"),
        },
        "entries": dict(sorted(entries.items())),
    }

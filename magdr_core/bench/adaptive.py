"""Cells of attacks that know the whole pipeline: one detector or defense each, every mode beside the pool."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.adaptive import AdaptiveAttack, Attacked, Target
from magdr_core.adaptive.attack import REFRESH, SCALINGS, summary
from magdr_core.adaptive.victim import DRAWS, MOST_FLAGGED
from magdr_core.bench import evaluate
from magdr_core.bench.images import GroupImages, Workplace
from magdr_core.bench.plan import Cell, Slice
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.objective import symmetric_mse
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError, components_own
from magdr_core.functional import mse
from magdr_core.guards import GuardedAttack, GuardedDefense, GuardedDetector, GuardedGenerator
from magdr_core.measures.evasion import key_of
from magdr_core.registry.settings import Adaptive
from magdr_core.runtime.samples import attack_samples, draw_samples, objective_of
from magdr_core.toolkit import Toolkit

VERSION = 2
"""Raised whenever the attack can find other images; part of every adaptive cell's key."""

PROBED = 4
"""Calibration faces on which gradients are tried."""

FITTED = 32
"""Others, which stand-ins for detectors without gradients are fitted to."""

SETTINGS = {"steps", "restarts", "penalties", "queries", "precision"}
"""What a profile says of how hard the attack tries."""

Array = np.ndarray[Any, Any]
Rng = Callable[[Samples], SampleRng]


def suite_of(toolkit: Toolkit, options: Adaptive) -> str:
    """A name of the whole suite of attacks: two runs with the same one faced the same attacks.

    It changes with the attack's version and constants, its settings, and the attacks that it starts from and
    is pooled with; not with what is attacked, on which faces, or by which labels.
    """
    told = {
        "version": VERSION,
        "settings": options.model_dump(include=SETTINGS),
        "attacks": sorted(_identified(toolkit, label) for label in options.attacks),
        "others": sorted(_identified(toolkit, label) for label in options.others),
        "constants": [PROBED, FITTED, DRAWS, REFRESH, SCALINGS, MOST_FLAGGED],
    }
    return digest(told)[:16]


def _identified(toolkit: Toolkit, attack: str) -> str:
    """The key of an attack; its label where its plugin is broken, which the cells say."""
    try:
        return toolkit.resolve("attack", attack).key
    except MagdrError as e:
        if not components_own(e):
            raise
        return attack


@dataclass(frozen=True, eq=False)
class Defended:
    """What an adaptive cell attacks.

    Attributes:
        detector: whose flags count: the cell's own, or the one before the cell's defense.
        oracle: whether exact masks travel with the conditions.
    """

    detector: CalibratedDetector | None
    defense: GuardedDefense | None
    oracle: bool

    @property
    def guarded(self) -> GuardedDetector | None:
        found: Any = None if self.detector is None else self.detector.detector
        return found

    @property
    def threshold(self) -> float:
        return 0.0 if self.detector is None else self.detector.threshold


class AdaptiveCells:
    """Attacks the cells of one task and seed."""

    def __init__(self, work: Workplace, seed: int, images: GroupImages, G: GuardedGenerator) -> None:
        self.work, self.seed = work, seed
        self.images, self.G = images, G
        self.toolkit = work.toolkit
        self._probes: dict[tuple[str, int, int], Tensor] = {}

    @property
    def options(self) -> Adaptive:
        assert self.work.profile.adaptive is not None
        return self.work.profile.adaptive

    def key(self, cell: Cell) -> dict[str, Any]:
        """What the images of an adaptive cell depend on besides the component that they are aimed at."""
        options = self.options
        return {
            "version": VERSION,
            "start": self.images.key(_oblivious(cell.slice)),
            "others": [self.images.key(part) for part in self._others(cell)],
            "settings": options.model_dump(include=SETTINGS),
            "faces": [PROBED, FITTED],
        }

    def values(
        self,
        cell: Cell,
        defended: Defended,
        name: str,
        reference: Tensor,
        yardsticks: evaluate.Yardsticks | None,
        rng: Rng,
    ) -> tuple[dict[str, list[float]], dict[str, Any]]:
        """Attack a cell's component and measure it: (per-sample values by mode, what is kept beside them).

        Args:
            name: of the attacker's random streams.
            yardsticks: of a defense's cell.
            rng: the defender's draws.
        """
        for part in (_oblivious(cell.slice), *self._others(cell)):
            self.images.of(part)  # shared by cells: no cost of the one that comes first
        self._take_passes()
        found, attack = self.attack(cell, defended, name)
        spent = self._take_passes()
        clean = self.images.clean(defended.oracle)
        images = images_of(found)
        values: dict[str, list[float]] = {}
        passes = 0
        for mode, x in images.items():  # the pool comes first
            seen = clean.with_images(x)
            if yardsticks is not None:
                assert defended.defense is not None
                own = _defense_values(mode, seen, defended.defense, self.G, yardsticks, rng)
            else:
                own = _detector_values(seen, defended.guarded, self.G, reference, rng)
            values |= {key_of(mode, metric): v for metric, v in own.items()}
            own_passes = self._take_passes()
            passes = passes if mode else own_passes
        guarded = defended.guarded
        if guarded is not None and yardsticks is not None:
            # With the defender's draws; names that start with mse_ have pooled figures, so this one does not.
            seen = clean.with_images(images[""])
            scores = evaluate.detector_values(seen, guarded, self.G, rng)["score"]
            flags = [float(score > defended.threshold) for score in scores]
            errors = zip(flags, values["mse_o"], strict=True)
            values |= {"flagged": flags, "undetected_mse_o": [0.0 if f else e for f, e in errors]}
        self._take_passes()
        self.G.passes = passes  # the component's own cost; the attack's is told apart
        told = facts_of(found, attack) | {"attack_forwards": spent / len(clean)}
        return values, {**told, "threat": self._threat(cell, defended), "images": images[""]}

    def _take_passes(self) -> int:
        return self.G.take_passes() + self.toolkit.take_inner_passes()

    def _threat(self, cell: Cell, defended: Defended) -> dict[str, Any]:
        """What the attacker may do and knows, as JSON."""
        options = self.options
        parts = (defended.guarded, defended.defense, self.G)
        random = any(part is not None and part.stochastic for part in parts)
        return {
            "norm": "linf",
            "eps": cell.slice.eps,
            "knows": "everything but the defender's random draws",
            "detector": "" if defended.guarded is None else defended.guarded.label,
            "defense": "" if defended.defense is None else cell.component,
            **options.model_dump(include=SETTINGS),
            "others": [part.name for part in self._others(cell)],
            "suite": suite_of(self.toolkit, options),
            "draws": DRAWS if random else 1,
        }

    def attack(self, cell: Cell, defended: Defended, name: str) -> tuple[list[Attacked], AdaptiveAttack]:
        """The attacked test images, batch by batch.

        Args:
            name: of the attacker's random streams.
        """
        options = self.options

        def calibration(first: int, count: int) -> Target:
            clean, _ = draw_samples(
                self.images.data.split("calibration"),
                self.G,
                first=first,
                count=count,
                seed=self.work.toolkit.registry.calibration.seed,
                oracle=defended.oracle,
            )
            made = (cell.slice.label, first, count)
            if made not in self._probes:  # all cells look at the same attacked faces
                before = self.G.passes
                self._probes[made] = self._made(cell.slice, clean)
                self.G.passes = before  # no cost of the cell that came first
            return self._target(clean, self._probes[made], cell, defended, name)

        attack = AdaptiveAttack(
            calibration(0, PROBED),
            fitting=lambda: calibration(PROBED, FITTED),
            steps=options.steps,
            restarts=options.restarts,
            penalties=options.penalties,
            queries=options.queries,
        )
        clean = self.images.clean(defended.oracle)
        start = self.images.of(_oblivious(cell.slice))
        others = {part.name: self.images.of(part) for part in self._others(cell)}
        found = []
        for at in range(0, len(clean), evaluate.BATCH):
            rows = slice(at, at + evaluate.BATCH)
            target = self._target(clean[rows], start[rows], cell, defended, name)
            found.append(attack(target, {k: v[rows] for k, v in others.items()}))
            done = min(at + evaluate.BATCH, len(clean))
            self.work.progress(f"adaptive attack on {cell.component}", done, len(clean))
        return found, attack

    def _others(self, cell: Cell) -> list[Slice]:
        """The further attacks of the cell's strength."""
        found = []
        for label in self.options.others:
            resolved = self.toolkit.resolve("attack", label)
            eps = float(resolved.params["eps"])
            if math.isclose(eps, cell.slice.eps):
                found.append(Slice(label, "attack", label, resolved.entry.name, eps))
        return found

    def _made(self, part: Slice, clean: Samples) -> Tensor:
        attack: GuardedAttack = self.toolkit.build("attack", part.label)
        made = [
            attack_samples(b, attack, self.G, name=part.component, seed=self.seed)
            for b in clean.batches(evaluate.BATCH)
        ]
        return torch.cat(made)

    def _target(self, clean: Samples, start: Tensor, cell: Cell, defended: Defended, name: str) -> Target:
        attack: GuardedAttack = self.toolkit.build("attack", cell.slice.label)
        return Target(
            self.G,
            clean,
            objective_of(attack, self.G, clean),
            start,
            cell.slice.eps,
            detector=defended.guarded,
            threshold=defended.threshold,
            defense=defended.defense,
            rough=self.options.precision == "bfloat16",
            rng=SampleRng(self.seed, f"adaptive/{name}", clean.ids, device=clean.images.device),
        )


def _oblivious(part: Slice) -> Slice:
    return replace(part, role="attack")


# -- values of cells ------------------------------------------------------------------------------------


def images_of(found: list[Attacked]) -> dict[str, Tensor]:
    """By mode the images `[n,3,H,W]`, the pool's under an empty name."""
    by_mode = {name: torch.cat([f.modes[name].images for f in found]) for name in found[0].modes}
    return {"": torch.cat([f.pooled.images for f in found]), **by_mode}


def facts_of(found: list[Attacked], attack: AdaptiveAttack) -> dict[str, Any]:
    """What is kept beside the values: where the pool's images are from, the curve, and the gradients."""
    sizes = [len(f.which) for f in found]
    return {
        "which": [name for f in found for name in f.which],
        "curve": {f"{penalty:g}": name for penalty, name in attack.curve.items()},
        "probed": summary(attack),
        "bad_gradients": {
            name: sum(f.bad_gradients[name] * n for f, n in zip(found, sizes, strict=True)) / sum(sizes)
            for name in found[0].bad_gradients
        },
    }


def _detector_values(
    seen: Samples, detector: GuardedDetector | None, G: GuardedGenerator, reference: Tensor, rng: Rng
) -> dict[str, list[float]]:
    """`score`, and `disruption`: undefended output MSE, [-1,1] units."""
    assert detector is not None
    scores = evaluate.detector_values(seen, detector, G, rng)["score"]
    y = evaluate.outputs(seen.images, seen, G)
    return {"score": scores, "disruption": symmetric_mse(y, reference).tolist()}


def _defense_values(
    mode: str,
    seen: Samples,
    defense: GuardedDefense,
    G: GuardedGenerator,
    yardsticks: evaluate.Yardsticks,
    rng: Rng,
) -> dict[str, list[float]]:
    """Every measure of the pool; of a mode the output error `mse_o` (0 to 255 squared)."""
    if not mode:
        return dict(evaluate.defense_values(seen, defense, G, yardsticks, rng)[0])
    outputs = [evaluate.defended(b, defense, G, rng)[1] for b in seen.batches(evaluate.BATCH)]
    return {"mse_o": (mse(yardsticks.outputs.images, torch.cat(outputs)) * 255**2).tolist()}

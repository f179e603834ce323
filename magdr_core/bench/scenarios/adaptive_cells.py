"""Cells of attacks that know the whole pipeline: one detector or defense each, every mode beside the pool."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive import AdaptiveAttack, Attacked, Target
from magdr_core.adaptive.attack import REFRESH, SCALINGS, summary
from magdr_core.adaptive.victim import DRAWS, MOST_FLAGGED
from magdr_core.bench import evaluate
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell, UnderAttack
from magdr_core.components.fingerprints import digest
from magdr_core.components.rng import SampleRng
from magdr_core.components.role import Role
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Rng, TaskRun
from magdr_core.errors import MagdrError, components_own
from magdr_core.guards import GuardedAttack
from magdr_core.measures.evasion import key_of
from magdr_core.registry.scenario_tables import Adaptive
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

OBLIVIOUS = "attack"
"""The scenario whose images each attack starts from."""


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


class AdaptiveCells:
    """Attacks the cells of one task and seed."""

    def __init__(self, run: TaskRun) -> None:
        self.run, self.seed = run, run.seed
        self.images, self.G = run.images, run.G
        self.toolkit = run.toolkit
        self._probes: dict[tuple[str, int, int], Tensor] = {}

    @property
    def options(self) -> Adaptive:
        options: Adaptive = self.run.profile.adaptive
        return options

    def key(self, cell: PlannedCell) -> dict[str, Any]:
        """What the images of an adaptive cell depend on besides the component that they are aimed at."""
        options = self.options
        return {
            "version": VERSION,
            "start": self.images.key(_oblivious(cell.slice)),
            "others": [self.images.key(part) for part in self._others(cell)],
            "settings": options.model_dump(include=SETTINGS),
            "faces": [PROBED, FITTED],
        }

    def values(self, cell: PlannedCell, role: Role, defended: UnderAttack, rng: Rng) -> Measured:
        """Attack a cell's component and measure it: per-sample values by mode, what is kept beside them, and
        the pool's images.

        Args:
            rng: the defender's draws.
        """
        for part in (_oblivious(cell.slice), *self._others(cell)):
            self.images.of(part)  # shared by cells: no cost of the one that comes first
        self._take_passes()
        name = f"{cell.role}/{digest(role.identity(self.run, cell))}"  # like the key, it knows no label
        found, attack = self.attack(cell, defended, name)
        spent = self._take_passes()
        clean = self.images.clean(defended.oracle)
        images = images_of(found)
        values: dict[str, list[float]] = {}
        passes = 0
        for mode, x in images.items():  # the pool comes first
            own = role.attacked_values(self.run, mode, clean.with_images(x), defended, rng)
            values |= {key_of(mode, metric): v for metric, v in own.items()}
            own_passes = self._take_passes()
            passes = passes if mode else own_passes
        if defended.guarded is not None and defended.defense is not None:
            # With the defender's draws; names that start with mse_ have pooled figures, so this one does not.
            seen = clean.with_images(images[""])
            scores = evaluate.detector_values(seen, defended.guarded, self.G, rng)["score"]
            flags = [float(score > defended.threshold) for score in scores]
            errors = zip(flags, values["mse_o"], strict=True)
            values |= {"flagged": flags, "undetected_mse_o": [0.0 if f else e for f, e in errors]}
        self._take_passes()
        self.G.passes = passes  # the component's own cost; the attack's is told apart
        told = facts_of(found, attack) | {"attack_forwards": spent / len(clean)}
        told |= {"threat": self._threat(cell, defended)}
        return Measured(values, told, {"images": images[""]})

    def _take_passes(self) -> int:
        passes: int = self.G.take_passes() + self.toolkit.take_inner_passes()
        return passes

    def _threat(self, cell: PlannedCell, defended: UnderAttack) -> dict[str, Any]:
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

    def attack(
        self, cell: PlannedCell, defended: UnderAttack, name: str
    ) -> tuple[list[Attacked], AdaptiveAttack]:
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
                seed=self.toolkit.registry.calibration.seed,
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
        together = clean.together("test")
        for at in range(0, len(clean), together):
            rows = slice(at, at + together)
            target = self._target(clean[rows], start[rows], cell, defended, name)
            found.append(attack(target, {k: v[rows] for k, v in others.items()}))
            done = min(at + together, len(clean))
            self.run.progress(f"adaptive attack on {cell.component}", done, len(clean))
        return found, attack

    def _others(self, cell: PlannedCell) -> list[Slice]:
        """The further attacks of the cell's strength."""
        found = []
        for label in self.options.others:
            resolved = self.toolkit.resolve("attack", label)
            eps = float(resolved.params["eps"])
            if math.isclose(eps, cell.slice.eps):
                found.append(Slice(label, OBLIVIOUS, label, resolved.entry.name, eps))
        return found

    def _made(self, part: Slice, clean: Samples) -> Tensor:
        attack: GuardedAttack = self.images.attack(part.label)
        made = [
            attack_samples(b, attack, self.G, name=part.component, seed=self.seed)
            for b in clean.batches("test")
        ]
        return torch.cat(made)

    def _target(
        self, clean: Samples, start: Tensor, cell: PlannedCell, defended: UnderAttack, name: str
    ) -> Target:
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
    return replace(part, scenario=OBLIVIOUS)


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

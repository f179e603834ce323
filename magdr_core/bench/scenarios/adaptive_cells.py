"""Cells of attacks that know the whole pipeline: one detector or defense each, every mode beside the pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive import AdaptiveAttack, Target
from magdr_core.adaptive.aims import AllAims, attack_all
from magdr_core.adaptive.attack import NAME, SCALINGS, VERSION, summary
from magdr_core.adaptive.attempt import REFRESH
from magdr_core.adaptive.victim import DRAWS, MOST_FLAGGED
from magdr_core.bench import evaluate
from magdr_core.bench.scenarios.adaptive_aims import (
    AWAY,
    OBLIVIOUS,
    TARGETED,
    aims_of,
    oblivious,
    progress_made,
    undefended,
)
from magdr_core.bench.scenarios.adaptive_runs import KeptRuns
from magdr_core.bench.scenarios.channel import received
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell, UnderAttack
from magdr_core.components.fingerprints import digest
from magdr_core.components.objective import ObjectiveName, build_objective, symmetric_mse
from magdr_core.components.rng import SampleRng
from magdr_core.components.role import Role
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Rng, TaskRun
from magdr_core.errors import MagdrError, components_own
from magdr_core.guards import GuardedAttack
from magdr_core.measures.evasion import key_of
from magdr_core.registry.scenario_tables import Adaptive
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.toolkit import Toolkit

PROBED = 4
"""Calibration faces on which gradients are tried."""

FITTED = 32
"""Others, which stand-ins for detectors without gradients are fitted to."""

SETTINGS = {"steps", "restarts", "penalties", "queries", "precision"}
"""What a profile says of how hard the attack tries."""

UNDEFENDED = "undefended"
"""The mode of the images that the same effort finds without a defense."""

STRONGEST = "strongest"
"""What values of a cell are called that are of whatever does most where nothing defends."""


def suite_of(toolkit: Toolkit, options: Adaptive) -> str:
    """A name of the whole suite of attacks: two runs with the same one faced the same attacks.

    It tells the suite's version, whether its settings are the suite's own, and by a hash the settings and the
    attacks that it starts from and is pooled with; not what is attacked, on which faces, or by which labels.
    """
    settings = options.model_dump(include=SETTINGS)
    told = {
        "settings": settings,
        "attacks": sorted(_identified(toolkit, label) for label in options.attacks),
        "others": sorted(_identified(toolkit, label) for label in options.others),
        "constants": [PROBED, FITTED, DRAWS, REFRESH, SCALINGS, MOST_FLAGGED],
    }
    effort = SETTINGS - {"precision"}  # of directions alone: whatever is found is judged exactly
    own = options.model_dump(include=effort) == Adaptive(attacks=options.attacks).model_dump(include=effort)
    return f"{NAME} {VERSION}{'' if own else ', other settings'} ({digest(told)[:8]})"


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
        options, label = self.options, cell.slice.channel
        # Whatever knows of no channel keeps the key that it had before there were any.
        channel = {"channel": self.toolkit.resolve("channel", label).identity} if label else {}
        return {
            **channel,
            "version": [NAME, VERSION],
            "start": self.images.key(oblivious(cell.slice)),
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
        for part in self.shared(cell):
            self.images.of(part)  # no cost of the cell that comes first
        self._take_passes()
        name = f"{cell.role}/{digest(role.identity(self.run, cell))}"  # like the key, it knows no label
        found, attack, runs = self.attack(cell, defended, name)
        clean = self.images.clean(defended.oracle)
        images = images_of(found)
        values: dict[str, list[float]] = {}
        passes = 0
        for mode, x in images.items():  # the pool comes first
            own = role.attacked_values(self.run, mode, self._seen(cell, clean, x), defended, rng)
            values |= {key_of(mode, metric): v for metric, v in own.items()}
            own_passes = self._take_passes()
            passes = passes if mode else own_passes
        if defended.guarded is not None and defended.defense is not None:
            # With the defender's draws; names that start with mse_ have pooled figures, so this one does not.
            seen = self._seen(cell, clean, images[""])
            scores = evaluate.detector_values(seen, defended.guarded, self.G, rng)["score"]
            flags = [float(score > defended.threshold) for score in scores]
            errors = zip(flags, values["mse_o"], strict=True)
            values |= {"flagged": flags, "undetected_mse_o": [0.0 if f else e for f, e in errors]}
        values |= self._undefended_values(cell, clean, images)
        values[key_of(TARGETED, "progress")] = torch.cat([f.reached[TARGETED] for f in found]).tolist()
        self._take_passes()
        self.G.passes = passes  # the component's own cost; the attack's is told apart
        told = facts_of(found, attack) | {"attack_forwards": runs.passes / len(clean)}
        told |= {"threat": self._threat(cell, defended)}
        runs.forget()
        return Measured(values, told, {"images": images[""]})

    def _seen(self, cell: PlannedCell, clean: Samples, x: Tensor) -> Samples:
        """The samples as the defender receives them, of published images `[n,3,H,W]`."""
        seen = clean.with_images(x)
        label = cell.slice.channel
        return seen.with_images(received(self.images, label, seen)) if label else seen

    def _undefended_values(
        self, cell: PlannedCell, clean: Samples, images: Mapping[str, Tensor]
    ) -> dict[str, list[float]]:
        """The most that any of these images, or those of the same effort, do to the generator alone: their
        distance from the clean outputs, and how much nearer to the target they come, in [-1,1] units."""
        kinds = aims_of(self.toolkit.build("attack", cell.slice.label), self.G)
        aim = build_objective(kinds[TARGETED], self.G, clean.images, clean.conditions, self.images.reference)
        found: dict[str, list[Tensor]] = {"disruption": [], "progress": []}
        for x in (*images.values(), *(self.images.of(undefended(cell.slice, a)) for a in kinds)):
            y = evaluate.outputs(x, clean, self.G)
            found["disruption"].append(symmetric_mse(y, aim.reference))
            found["progress"].append(progress_made(aim, y))
        return {key_of(STRONGEST, name): torch.stack(each).amax(0).tolist() for name, each in found.items()}

    def shared(self, cell: PlannedCell) -> list[Slice]:
        """The images that a cell's attack starts from, besides its own."""
        aims = (undefended(cell.slice, aim) for aim in (AWAY, TARGETED))
        return [oblivious(cell.slice), *self._others(cell), *aims]

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
            **({"channel": cell.slice.channel} if cell.slice.channel else {}),
            "detector": "" if defended.guarded is None else defended.guarded.label,
            "defense": "" if defended.defense is None else cell.component,
            **options.model_dump(include=SETTINGS),
            "others": [part.name for part in self._others(cell)],
            "suite": suite_of(self.toolkit, options),
            "draws": DRAWS if random else 1,
        }

    def attack(
        self, cell: PlannedCell, defended: UnderAttack, name: str
    ) -> tuple[list[AllAims], AdaptiveAttack, KeptRuns]:
        """The attacked test images, batch by batch, and the runs that they are from.

        Args:
            name: of the attacker's random streams.
        """
        options = self.options
        kinds = aims_of(self.toolkit.build("attack", cell.slice.label), self.G)

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
            return self._target(clean, self._probes[made], cell, defended, name, kinds[AWAY])

        attack = AdaptiveAttack(
            calibration(0, PROBED),
            fitting=lambda: calibration(PROBED, FITTED),
            steps=options.steps,
            restarts=options.restarts,
            penalties=options.penalties,
            queries=options.queries,
        )
        clean = self.images.clean(defended.oracle)
        start = self.images.of(oblivious(cell.slice))
        others = {part.name: self.images.of(part) for part in self._others(cell)}
        strongest = {aim: self.images.of(undefended(cell.slice, aim)) for aim in kinds}
        together = clean.together("test")
        kept = KeptRuns(self.run.store, self._take_passes, self.run.key(cell))
        told: _PassesLeft | None = None
        found = []
        for at in range(0, len(clean), together):
            rows = slice(at, at + together)
            targets = {
                aim: self._target(clean[rows], start[rows], cell, defended, name, kind, strongest[aim][rows])
                for aim, kind in kinds.items()
            }
            beside = {label: images[rows] for label, images in others.items()}
            starts = {aim: {**beside, UNDEFENDED: strongest[aim][rows]} for aim in kinds}
            if told is None:
                steps = sum(
                    attack.cost(target, [*starts[aim]], thorough=not aim) for aim, target in targets.items()
                )
                what = f"adaptive attack on {cell.component}, passes"
                told = _PassesLeft(partial(self.run.progress, what), kept, steps * len(clean))
            told.images = len(clean[rows])
            found.append(attack_all(attack, targets, starts, kept.of(clean[rows]), told))
        kept.count()
        return found, attack, kept

    def _others(self, cell: PlannedCell) -> list[Slice]:
        """The further attacks of the cell's strength."""
        found = []
        for label in self.options.others:
            own = self.toolkit.registry.attack_on(self.run.task, label)
            resolved = self.toolkit.resolve("attack", own)
            eps = float(resolved.params["eps"])
            if math.isclose(eps, cell.slice.eps):
                found.append(Slice(label, OBLIVIOUS, own, resolved.entry.name, eps))
        return found

    def _made(self, part: Slice, clean: Samples) -> Tensor:
        attack: GuardedAttack = self.images.attack(part.label)
        made = [
            attack_samples(b, attack, self.G, name=part.component, seed=self.seed)
            for b in clean.batches("test")
        ]
        return torch.cat(made)

    def _target(
        self,
        clean: Samples,
        start: Tensor,
        cell: PlannedCell,
        defended: UnderAttack,
        name: str,
        kind: ObjectiveName,
        strongest: Tensor | None = None,
    ) -> Target:
        return Target(
            self.G,
            clean,
            build_objective(kind, self.G, clean.images, clean.conditions),
            start,
            cell.slice.eps,
            detector=defended.guarded,
            threshold=defended.threshold,
            defense=defended.defense,
            channel=self.toolkit.build("channel", cell.slice.channel) if cell.slice.channel else None,
            rough=self.options.precision == "bfloat16",
            rng=SampleRng(self.seed, f"adaptive/{name}", clean.ids, device=clean.images.device),
            strongest=strongest,
        )


class _PassesLeft:
    """Tells how many of the generator's passes a cell's attack has taken, of how many it will take.

    Args:
        told: takes (done, total).
        steps: gradient steps, times images, of the whole attack.

    Attributes:
        images: how many the next runs are of.
    """

    def __init__(self, told: Callable[[int, int], None], kept: KeptRuns, steps: int) -> None:
        self._told, self._kept, self._steps = told, kept, steps
        self._done = 0
        self.images = 0

    def __call__(self, steps: int) -> None:
        self._done += steps * self.images
        passes = self._kept.count()
        self._told(passes, max(passes, round(passes * self._steps / self._done)))


# -- values of cells ------------------------------------------------------------------------------------


def images_of(found: list[AllAims]) -> dict[str, Tensor]:
    """By mode the images `[n,3,H,W]`, the pools' by aim, the first one's under an empty name."""
    pools = {aim: torch.cat([f.pooled[aim].images for f in found]) for aim in found[0].pooled}
    by_mode = {name: torch.cat([f.modes[name].images for f in found]) for name in found[0].modes}
    return {**pools, **by_mode}


def facts_of(found: list[AllAims], attack: AdaptiveAttack) -> dict[str, Any]:
    """What is kept beside the values: where the pool's images are from, the curve, and the gradients."""
    sizes = [len(f.which[AWAY]) for f in found]
    return {
        "which": [name for f in found for name in f.which[AWAY]],
        "curve": {f"{penalty:g}": name for penalty, name in attack.curve.items()},
        "probed": summary(attack),
        "bad_gradients": {
            name: sum(f.bad_gradients[name] * n for f, n in zip(found, sizes, strict=True)) / sum(sizes)
            for name in found[0].bad_gradients
        },
    }

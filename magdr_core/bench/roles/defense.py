"""Defenses: how close restored images and the outputs on them come to the clean ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate, identities
from magdr_core.bench.steps import batches, inside
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell, Portion, ReadyDefense, UnderAttack
from magdr_core.components.fingerprints import digest
from magdr_core.components.role import PictureName, Role
from magdr_core.components.slice import Measured
from magdr_core.components.task_run import Planning, Rng, TaskRun, components_aside
from magdr_core.functional import mse, to_8bit
from magdr_core.guards import GuardedDefense
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.results.pictures import BESIDE, split_sides, worst_of, worst_side
from magdr_core.runtime.choosing import is_ours

UNDEFENDED = "identity"
"""The row without a defense, which stands in every table."""

MOST_PICTURES = 16
"""Kept with every defense's cell, whatever a profile shows; a profile cannot ask for more."""


def is_restoration(toolkit: Any, label: str) -> bool:
    """Whether a defense's label is a restoration's, which stands as a defense of its own."""
    instances = toolkit.registry.instances
    return ("defense", label) not in instances and ("restoration", label) in instances


def defense_label(toolkit: Any, label: str) -> str:
    """Check a defense's label; a restoration's label stands for that restoration as a defense of its own.

    Raises:
        RegistryError: there is no such component.
    """
    with components_aside():
        toolkit.resolve("restoration" if is_restoration(toolkit, label) else "defense", label)
    return label


def live_defense(calibrator: Any, label: str) -> GuardedDefense:
    """A defense, calibrated, or a restoration as one. Raises MagdrError if it cannot be had."""
    if not is_restoration(calibrator.toolkit, label):
        found: GuardedDefense = calibrator.defense(label)
        return found
    restoration = calibrator.toolkit.build("restoration", label)
    return GuardedDefense(_Filter(restoration), restoration.where)


def calibration_of(calibrator: Any, label: str) -> str | None:
    """A hash of the calibration that a live defense uses; None of a restoration."""
    if is_restoration(calibrator.toolkit, label):
        return None
    found: str = calibrator.digest_of("defense", label)
    return found


def wants_masks(calibrator: Any, label: str) -> bool:
    """Whether a defense is given exact masks."""
    if is_restoration(calibrator.toolkit, label):
        return False
    wanted: bool = calibrator.wants_oracle("defense", label)
    return wanted


def ready_defense(calibrator: Any, label: str, seed: int) -> ReadyDefense:
    """A live defense for whoever wants the pictures that it restores, with the draws of its own rows.

    Raises:
        MagdrError: it cannot be had.
    """
    toolkit, defense = calibrator.toolkit, live_defense(calibrator, label)
    kind = "restoration" if is_restoration(toolkit, label) else "defense"
    identity = toolkit.resolve(kind, label).identity
    name = f"defense/{digest(identity)}"  # as a cell's draws are named: by the rows' role and what it is

    @torch.no_grad()
    def restored(seen: Samples) -> Tensor:
        parts = []
        for b in batches(seen, partial(calibrator.progress, f"restoring with {label}")):
            rng = toolkit.rng(name, b.ids, seed)
            parts.append(to_8bit(defense(b.images, b.conditions, calibrator.generator, rng=rng)))
        return torch.cat(parts)

    return ReadyDefense(
        restored, wants_masks(calibrator, label), [identity, calibration_of(calibrator, label)]
    )


def parser_of(run: TaskRun) -> Mapping[str, Any]:
    """What measures depend on besides images: the parser that finds the target and compares features."""
    if run.encoder is None:
        return {}
    return {"encoder": run.toolkit.resolve("parser", run.encoder).identity}


class Restoring(Role):
    """What restored images are measured by: the rows of defenses."""

    rows = "defense"
    kind = "defense"
    figures = tuple(DEFINITIONS.of("defense"))
    schema = 3  # has `fsim` and `featsim`, and `mse_o_target`
    grows = True

    def depends_on(self, run: TaskRun, cell: PlannedCell) -> Mapping[str, Any]:
        return {**parser_of(run), **identities.measured_by(run, cell)}

    def processed(self, profile: Any) -> tuple[str, ...]:
        labels: tuple[str, ...] = profile.ensemble
        return labels

    def restored(
        self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng
    ) -> tuple[evaluate.Values, Tensor, Tensor]:
        """Per-sample values, restored images and the outputs on them, `[n,3,H,W]`."""
        raise NotImplementedError

    def measure(self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng) -> Measured:
        values, restored, output = self.restored(run, cell, seen, component, rng)
        values = {**values, **identities.similarities(run, output)}
        passes = run.G.passes
        worst = worst_of(dict(zip(seen.ids, values["mse_o"], strict=True)))
        worst_images = self._worst(run, cell, worst, restored, output)
        if labels := self.processed(run.profile):
            edits = [run.toolkit.build("augmentation", label) for label in labels]
            told = partial(run.progress, inside(f"the ensemble of {cell.component}"))
            together = evaluate.ensemble_values(restored, output, seen, edits, run.G, run.yardsticks, told)
            values = {**values, **{f"ensemble/{name}": v for name, v in together.items()}}
        run.G.passes = passes  # the pictures' and the variant's own passes are no cost of the defense
        first = torch.cat([restored[:MOST_PICTURES], output[:MOST_PICTURES]])
        return Measured(values, {"worst": worst}, {"pictures": first, "worst-pictures": worst_images})

    def _worst(
        self, run: TaskRun, cell: PlannedCell, worst: Sequence[str], restored: Tensor, output: Tensor
    ) -> Tensor:
        """The pictures of a cell's worst images in the order of `BESIDE`."""
        clean = run.images.clean(False)
        places = {name: i for i, name in enumerate(clean.ids)}
        indices = [places[name] for name in worst]
        samples = Samples(clean.images[indices], clean.conditions[indices], tuple(worst))
        received = run.images.of(cell.slice)[indices]
        outputs = evaluate.outputs(received, samples, run.G)
        sides = [samples.images, run.images.reference[indices], received, outputs]
        return torch.cat([*sides, restored[indices], output[indices]])

    def kept(self, run: TaskRun, cell: PlannedCell, stored: Mapping[str, Any]) -> Mapping[str, int]:
        counts = {"pictures": 2 * min(MOST_PICTURES, len(stored["ids"]))}
        if "worst" in stored:
            counts["worst-pictures"] = len(BESIDE) * len(stored["worst"])
        return counts

    def combinable(self, ids: Sequence[str], portions: Sequence[Sequence[str]]) -> bool:
        # The pictures of the first images have to be there.
        there = {name for portion in portions for name in portion[:MOST_PICTURES]}
        return there.issuperset(ids[:MOST_PICTURES])

    def combined(self, ids: Sequence[str], portions: Sequence[Portion]) -> Measured:
        """As of every role; the worst images are the worst of the portions' own worst ones."""
        values = super().combined(ids, portions).values
        worst = worst_of(dict(zip(ids, values["mse_o"], strict=True)))
        inputs: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}
        beside: dict[str, Tensor] = {}
        for portion in portions:
            restored, output = split_sides(portion.pictures["pictures"])
            inputs |= dict(zip(portion.ids, restored, strict=False))
            outputs |= dict(zip(portion.ids, output, strict=False))
            sides = torch.stack(portion.pictures["worst-pictures"].chunk(len(BESIDE)), 1)
            beside |= dict(zip(portion.extra["worst"], sides, strict=True))
        first = [side[name] for side in (inputs, outputs) for name in ids[:MOST_PICTURES]]
        pictures = {
            "pictures": torch.stack(first),
            "worst-pictures": torch.stack([beside[name] for name in worst], 1).flatten(0, 1),
        }
        return Measured(values, {"worst": worst}, pictures)

    def brief(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        # The report names the worst images; ids tell it which pictures they are.
        errors = zip(data["ids"], data["values"]["mse_o"], strict=True)
        return {"mse_o": {name: float(f"{error:.6g}") for name, error in errors}}

    def report_pictures(
        self, store: Any, data: Mapping[str, Any], shown: int
    ) -> Mapping[PictureName, Tensor]:
        facts = data["facts"]
        kept = None if facts.get("channel") else store.images(f"{data['key']}-pictures")
        if kept is None:
            return {}
        name = (facts["task"], facts["attack"], facts["component"])
        restored, output = split_sides(kept)
        return {(*name, "input"): restored[:shown], (*name, "output"): output[:shown]}


class DefenseRole(Restoring):
    """Defenses, and restorations that stand as one."""

    name = "defense"
    plural = "defenses"
    attackable = True

    def check(self, plan: Planning) -> None:
        super().check(plan)
        labels = self.listed(plan.profile)
        if len(set(labels)) != len(labels):
            raise plan.fault("a defense is listed twice")

    def lined_up(self, labels: Sequence[str]) -> Sequence[str]:
        return list(dict.fromkeys([UNDEFENDED, *labels])) if labels else ()

    def kind_of(self, toolkit: Any, label: str) -> str:
        return "restoration" if is_restoration(toolkit, label) else self.kind

    def undefended(self, label: str) -> bool:
        return label == UNDEFENDED

    def fits(self, plan: Planning, label: str) -> Sequence[tuple[str, str]]:
        return () if is_restoration(plan.toolkit, label) else ((self.name, label),)

    def component(self, run: TaskRun, cell: PlannedCell) -> Any:
        return self._live(run, cell.component)

    def _live(self, run: TaskRun, label: str) -> Any:
        return live_defense(run.calibrator, label)

    def calibration(self, run: TaskRun, label: str) -> str | None:
        return calibration_of(run.calibrator, label)

    def wants_masks(self, run: TaskRun, label: str) -> bool:
        return wants_masks(run.calibrator, label)

    def is_baseline(self, run: TaskRun, label: str, component: Any) -> bool:
        """Whether a defense is one to beat: not ours, not the undefended row."""
        kind = self.kind_of(run.toolkit, label)
        return label != UNDEFENDED and not is_ours(run.toolkit, kind, label, run.profile.ours)

    def restored(
        self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng
    ) -> tuple[evaluate.Values, Tensor, Tensor]:
        told = partial(run.progress, inside(f"defending with {cell.component}"))
        return evaluate.defense_values(seen, component, run.G, run.yardsticks, rng, told)

    def worst_pictures(self, store: Any, data: Mapping[str, Any]) -> Mapping[PictureName, Tensor]:
        """Those of our own defenses; the store has those of all."""
        facts = data["facts"]
        if (
            "worst" not in data
            or facts.get("channel")
            or facts["baseline"]
            or self.undefended(facts["component"])
        ):
            return {}
        kept = store.images(f"{data['key']}-worst-pictures")
        if kept is None:
            return {}
        name = (facts["task"], facts["attack"], facts["component"])
        sides = zip(BESIDE, kept.chunk(len(BESIDE)), strict=True)
        return {(*name, worst_side(side, facts["seed"])): images for side, images in sides}

    # -- attacks that know it ---------------------------------------------------------------------------

    def defended(self, run: TaskRun, cell: PlannedCell, component: Any, behind: str) -> UnderAttack:
        detector = run.calibrator.detector(behind) if behind else None
        oracle = self.wants_masks(run, cell.component)
        oracle |= bool(behind) and run.calibrator.wants_oracle("detector", behind)
        return UnderAttack(detector, component, oracle)

    def attacked_values(
        self, run: TaskRun, mode: str, seen: Samples, defended: UnderAttack, rng: Rng
    ) -> Mapping[str, list[float]]:
        """Every measure of the pool; of a mode the output error `mse_o` (0 to 255 squared)."""
        if not mode:
            values, _, output = evaluate.defense_values(seen, defended.defense, run.G, run.yardsticks, rng)
            return {**values, **identities.similarities(run, output)}
        batches = seen.batches("test")
        outputs = torch.cat([evaluate.defended(b, defended.defense, run.G, rng)[1] for b in batches])
        return {"mse_o": (mse(run.yardsticks.outputs.images, outputs) * 255**2).tolist()}

    # -- sanity checks ----------------------------------------------------------------------------------

    def checked(self, label: str) -> bool:
        return not self.undefended(label)  # which is what attacks are checked on

    def victim(self, run: TaskRun, label: str) -> Mapping[str, Any]:
        return {"defense": self._live(run, label)}

    def bare(self, run: TaskRun, label: str) -> Any:
        return None if is_restoration(run.toolkit, label) else run.calibrator.defense(label).component

    def nature(self, run: TaskRun, label: str, gradient: str) -> Any:
        return "chooser" if self._live(run, label).choosing.chooses else "defense"


class _Filter:
    """A restoration as a defense."""

    def __init__(self, restoration: Any) -> None:
        self.restoration = restoration

    def __call__(self, x: Tensor, c: Any, G: Any) -> Tensor:
        restored: Tensor = self.restoration(x)
        return restored

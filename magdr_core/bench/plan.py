"""Which cells a profile consists of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from magdr_core.calibration import read_calibration
from magdr_core.errors import RegistryError
from magdr_core.identity import digest
from magdr_core.registry import Profile
from magdr_core.toolkit import Toolkit

CLEAN = "none"
ORACLE = "oracle"
"""The defense that is shown the clean output and takes the best candidate of Rec-Net's grid (Eq. 8)."""


@dataclass(frozen=True)
class Slice:
    """Images that components are run on: clean ones, or those of an attack, or benign edits of clean ones.

    Attributes:
        name: as in the table's `attack` column.
        component: the attack component's registry name, or the augmentation's for benign edits.
        eps, steps: of the attack; 0 where there is none.
        role: clean, attack, noise (equal-strength noise that only `auroc_noise` needs) or benign.
    """

    name: str
    role: str
    label: str = ""
    component: str = ""
    eps: float = 0.0
    steps: int = 0


@dataclass(frozen=True)
class Cell:
    """One component on one slice of one task with one seed."""

    task: str
    generator: str
    dataset: str
    slice: Slice
    role: str
    component: str
    seed: int

    @property
    def knowledge(self) -> str:
        undefended = self.role == "attack" or (self.role == "defense" and self.component == "identity")
        return "none" if undefended else "oblivious"

    def in_shard(self, shard: tuple[int, int]) -> bool:
        """Whether the cell is one of part i of n. Its place in the plan decides, not its result's key: that
        holds the calibration, which each part would have to make for all cells."""
        i, n = shard
        part = self.slice
        place = [self.task, self.seed, self.role, self.component, part.name, part.eps, part.steps]
        return int(digest(place), 16) % n == i - 1

    def __str__(self) -> str:
        return f"{self.task} / {self.slice.name} / {self.component} (seed {self.seed})"


@dataclass(frozen=True)
class Group:
    """All cells of one task and seed; they share images.

    Attributes:
        dataset: label of the dataset.
    """

    task: str
    dataset: str
    seed: int
    slices: tuple[Slice, ...]
    cells: tuple[Cell, ...]


def plan(toolkit: Toolkit, profile: Profile) -> list[Group]:
    """Check every component that the profile names, and list the cells.

    Raises:
        RegistryError: whatever is wrong with the registry, before anything is computed or written.
    """
    tasks = profile.generators or tuple(toolkit.registry.labels("generator"))
    if not tasks:
        raise RegistryError(f"{toolkit.registry.path.name}: no [generator.TASK] table")
    policy = toolkit.registry.calibration
    if policy.file != "auto":
        read_calibration(toolkit.registry.path.parent / policy.file)
    defenses = [defense_label(toolkit, label) for label in profile.defenses]
    for attack in policy.attacks:
        toolkit.resolve("attack", attack)
    slices = tuple(_slices(toolkit, profile))
    for label in profile.detectors:
        toolkit.resolve("detector", label)
    if len(set(defenses)) != len(defenses):
        raise RegistryError(f"{toolkit.registry.path.name}: a defense is listed twice")
    seeds = profile.seeds or (toolkit.registry.seed,)
    groups = []
    for task in tasks:
        dataset = _faces_for(toolkit, profile, task)
        for seed in seeds:
            cells = tuple(_cells(toolkit, profile, task, dataset, seed, slices))
            groups.append(Group(task, dataset, seed, slices, cells))
    return groups


def _faces_for(toolkit: Toolkit, profile: Profile, task: str) -> str:
    """The label of a task's dataset, which is there and large enough; the generator can be built, too."""
    toolkit.build("generator", task)
    label = profile.dataset or toolkit.registry.dataset_of(task)
    split = toolkit.build("dataset", label).split(profile.split)
    wanted = profile.first + profile.samples
    if len(split) < wanted:
        raise RegistryError(
            f"{toolkit.registry.path.name} [dataset.{label}]: its {profile.split} split has {len(split)} "
            f"images; the profile takes {profile.samples} from index {profile.first} on (--limit takes fewer)"
        )
    return label


def defense_label(toolkit: Toolkit, label: str) -> str:
    """Check a defense's label; a restoration's label stands for that restoration as a defense of its own."""
    if is_restoration(toolkit, label):
        toolkit.resolve("restoration", label)
    else:
        toolkit.resolve("defense", label)
    return label


def is_restoration(toolkit: Toolkit, label: str) -> bool:
    instances = toolkit.registry.instances
    return ("defense", label) not in instances and ("restoration", label) in instances


def _slices(toolkit: Toolkit, profile: Profile) -> Iterator[Slice]:
    yield Slice(CLEAN, "clean")
    attacks = []
    for label in profile.attacks:
        resolved = toolkit.resolve("attack", label)
        attacks.append(
            Slice(
                label,
                "attack",
                label,
                resolved.entry.name,
                float(resolved.params["eps"]),
                int(resolved.params.get("steps", 1)),
            )
        )
    yield from attacks
    if profile.detectors:
        # Equal-strength random noise beside every attack: a detector of noise is no detector of attacks.
        noises = {s.eps for s in attacks if s.component == "noise"}
        for eps in dict.fromkeys(s.eps for s in attacks):
            if eps not in noises:
                yield Slice(f"noise@{eps * 255:g}", "noise", "noise", "noise", eps, 1)
        for label in profile.benign:
            resolved = toolkit.resolve("augmentation", label)
            yield Slice(f"benign:{label}", "benign", label, resolved.entry.name)


def _cells(
    toolkit: Toolkit, profile: Profile, task: str, dataset: str, seed: int, slices: tuple[Slice, ...]
) -> Iterator[Cell]:
    common: dict[str, Any] = {
        "task": task,
        "generator": toolkit.resolve("generator", task).entry.name,
        "dataset": toolkit.resolve("dataset", dataset).entry.name,
        "seed": seed,
    }
    for part in slices:
        if part.role == "attack":
            yield Cell(slice=part, role="attack", component=part.name, **common)
        for label in profile.detectors:
            yield Cell(slice=part, role="detector", component=label, **common)
        if part.role in ("clean", "attack"):
            # The undefended row and the best that Rec-Net's grid could do stand in every table.
            labels = list(dict.fromkeys(["identity", *profile.defenses]))
            if "layers" in toolkit.registry.composition and profile.defenses:
                labels.append(ORACLE)
            for label in labels if profile.defenses else ():
                yield Cell(slice=part, role="defense", component=label, **common)

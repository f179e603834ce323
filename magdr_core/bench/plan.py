"""Which cells a profile consists of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from magdr_core.calibration import read_calibration
from magdr_core.components.fingerprints import digest
from magdr_core.errors import MagdrError, RegistryError, components_own, suggestion
from magdr_core.registry.resolve import Resolved
from magdr_core.registry.settings import Adaptive, Profile, Sweep, Transfer
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
        role: clean, attack, noise (equal-strength noise that only `auroc_noise` needs), benign, sweep (a
            checkpoint of a long run), or adaptive (aimed at each component, from the attack's images on).
        transfer: what the attacker lacks.
        samples: the first so many of the profile's images; all if None.
    """

    name: str
    role: str
    label: str = ""
    component: str = ""
    eps: float = 0.0
    steps: int = 0
    transfer: Transfer | None = None
    samples: int | None = None


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
        if self.slice.role == "adaptive":
            return "adaptive"
        undefended = self.role == "attack" or (self.role == "defense" and self.component == "identity")
        return "none" if undefended else "oblivious" if self.slice.transfer is None else "transfer"

    def in_shard(self, shard: tuple[int, int]) -> bool:
        """Whether the cell is one of part i of n. Its place in the plan decides, not its result's key: that
        holds the calibration, which each part would have to make for all cells."""
        i, n = shard
        part = self.slice
        place = [self.task, self.seed, self.role, self.component, part.name, part.eps, part.steps]
        return int(digest(place), 16) % n == i - 1

    def __str__(self) -> str:
        point = {"sweep": f" after {self.slice.steps} steps", "adaptive": " (adaptive)"}.get(
            self.slice.role, ""
        )
        return f"{self.task} / {self.slice.name}{point} / {self.component} (seed {self.seed})"


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
    tasks = toolkit.registry.tasks(profile)
    if not tasks:
        raise RegistryError(f"{toolkit.registry.path.name}: no [generator.TASK] table")
    _check_tasks_named(toolkit, profile, tasks)
    policy = toolkit.registry.calibration
    if policy.file != "auto":
        read_calibration(toolkit.registry.path.parent / policy.file)
    defenses = [defense_label(toolkit, label) for label in profile.defenses]
    for attack in policy.attacks:
        _check(toolkit, "attack", attack)
    slices = {task: tuple(_slices(toolkit, profile, task)) for task in tasks}
    for label in profile.detectors:
        _check(toolkit, "detector", label)
    if profile.adaptive is not None:
        _check_adaptive(toolkit, profile.adaptive)
    if len(set(defenses)) != len(defenses):
        raise RegistryError(f"{toolkit.registry.path.name}: a defense is listed twice")
    seeds = profile.seeds or (toolkit.registry.seed,)
    groups = []
    for task in tasks:
        dataset = profile.dataset or toolkit.registry.dataset_of(task)
        with _components_aside():
            _check_faces(toolkit, profile, task, dataset)
        for transfer in profile.transfer:
            if _is_of(task, transfer):
                with _components_aside():
                    _check_transfer(toolkit, task, transfer)
        for seed in seeds:
            cells = tuple(_cells(toolkit, profile, task, dataset, seed, slices[task]))
            groups.append(Group(task, dataset, seed, slices[task], cells))
    return groups


def _check_adaptive(toolkit: Toolkit, adaptive: Adaptive) -> None:
    """Everything that the profile's adaptive attacks name is there, and each other attack has one to join."""
    for label in (*adaptive.detectors, *filter(None, [adaptive.behind])):
        _check(toolkit, "detector", label)
    for label in adaptive.defenses:
        defense_label(toolkit, label)
    strengths = {attack_slice(toolkit, label).eps for label in adaptive.attacks} - {0.0}
    for label in adaptive.others:
        eps = attack_slice(toolkit, label).eps  # 0 of one whose plugin is broken
        if eps and strengths and not any(math.isclose(eps, own) for own in strengths):
            known = ", ".join(f"{own * 255:g}/255" for own in sorted(strengths))
            raise RegistryError(
                f"{toolkit.registry.path.name}: adaptive: the other attack {label!r} has eps = "
                f"{eps * 255:g}/255; it can join only attacks of the same strength ({known})"
            )


@contextmanager
def _components_aside() -> Iterator[None]:
    """Let pass what is a component's fault and not the registry's: the cells that need it will say so."""
    try:
        yield
    except MagdrError as e:
        if not components_own(e):
            raise


def _check_faces(toolkit: Toolkit, profile: Profile, task: str, label: str) -> None:
    """A task's dataset is there and large enough; the generator can be built, too."""
    toolkit.build("generator", task)
    split = toolkit.build("dataset", label).split(profile.split)
    wanted = profile.first + profile.samples
    if len(split) < wanted:
        raise RegistryError(
            f"{toolkit.registry.path.name} [dataset.{label}]: its {profile.split} split has {len(split)} "
            f"images; the profile takes {profile.samples} from index {profile.first} on (--limit takes fewer)"
        )


def _is_of(task: str, setting: Transfer | Sweep) -> bool:
    """Whether a transfer or sweep applies to a task."""
    return not setting.generators or task in setting.generators


def _check_tasks_named(toolkit: Toolkit, profile: Profile, tasks: Sequence[str]) -> None:
    """Transfers and sweeps name tasks of the profile."""
    settings = [(f"transfer of {t.attack!r}", t.generators) for t in profile.transfer]
    settings += [("sweep", profile.sweep.generators)] if profile.sweep is not None else []
    for what, labels in settings:
        for label in labels:
            if label not in tasks:
                raise RegistryError(
                    f"{toolkit.registry.path.name}: {what}: generators: {label!r} is no task of the profile"
                    f"{suggestion(label, tasks) or '; it has ' + ', '.join(tasks)}"
                )


def _check_transfer(toolkit: Toolkit, task: str, transfer: Transfer) -> None:
    """The surrogate can take the task's place, and there is a condition not to know."""
    names = toolkit.build("generator", task).condition_names
    if transfer.condition == "unknown" and not names:
        raise RegistryError(
            f"{toolkit.registry.path.name}: transfer of {transfer.attack!r}: {task} has no condition that "
            "could be unknown (generators = [...] says which tasks a transfer applies to)"
        )
    if not transfer.surrogate:
        return
    if transfer.surrogate == task:
        raise RegistryError(
            f"{toolkit.registry.path.name}: transfer of {transfer.attack!r}: the surrogate {task!r} is the "
            "task itself"
        )
    other = toolkit.build("generator", transfer.surrogate).condition_names
    if other != names:
        raise RegistryError(
            f"{toolkit.registry.path.name}: transfer of {transfer.attack!r}: the surrogate "
            f"{transfer.surrogate!r} takes the conditions {', '.join(other) or 'none'}, "
            f"{task} takes {', '.join(names) or 'none'} (generators = [...] says which tasks a transfer "
            "applies to)"
        )


def defense_label(toolkit: Toolkit, label: str) -> str:
    """Check a defense's label; a restoration's label stands for that restoration as a defense of its own."""
    _check(toolkit, "restoration" if is_restoration(toolkit, label) else "defense", label)
    return label


def _check(toolkit: Toolkit, kind: str, label: str) -> Resolved | None:
    """Resolve a component; None if its plugin is broken. That is no fault of the registry, and its own cells
    will say so.

    Raises:
        RegistryError: the registry is wrong.
    """
    with _components_aside():
        return toolkit.resolve(kind, label)
    return None


def _used(toolkit: Toolkit, kind: str, label: str) -> str:
    """The registry name of a component; of one whose plugin is broken what the table says."""
    resolved = _check(toolkit, kind, label)
    return toolkit.registry.instance(kind, label).use if resolved is None else resolved.entry.name


def is_restoration(toolkit: Toolkit, label: str) -> bool:
    instances = toolkit.registry.instances
    return ("defense", label) not in instances and ("restoration", label) in instances


def _slices(toolkit: Toolkit, profile: Profile, task: str) -> Iterator[Slice]:
    yield Slice(CLEAN, "clean")
    attacks = [attack_slice(toolkit, label) for label in profile.attacks]
    for transfer in (t for t in profile.transfer if _is_of(task, t)):
        part = attack_slice(toolkit, transfer.attack)
        lacking = [transfer.surrogate] if transfer.surrogate else []
        lacking += ["unknown-condition"] if transfer.condition == "unknown" else []
        attacks.append(replace(part, name=f"{part.name}@{'+'.join(lacking)}", transfer=transfer))
    if len({s.name for s in attacks}) != len(attacks):
        raise RegistryError(f"{toolkit.registry.path.name}: an attack is listed twice")
    sweep = profile.sweep if profile.sweep is not None and _is_of(task, profile.sweep) else None
    points = sorted(set(sweep.steps)) if sweep is not None else []
    for label in sweep.attacks if sweep is not None else ():
        part = attack_slice(toolkit, label)
        if not _steps_are_kept(toolkit, label):
            raise RegistryError(
                f"{toolkit.registry.path.name}: sweep: attack {label!r} has no checkpoints of a run; "
                "pgd, ifgsm, eq3 and the class-transferable attacks have"
            )
        samples = sweep.samples if sweep is not None else None
        attacks += [replace(part, role="sweep", steps=n, samples=samples) for n in points]
    yield from attacks
    if profile.adaptive is not None:
        for label in profile.adaptive.attacks:
            yield replace(attack_slice(toolkit, label), role="adaptive", steps=profile.adaptive.steps)
    if profile.detectors:
        # Equal-strength random noise beside every attack: a detector of noise is no detector of attacks.
        noises = {s.eps for s in attacks if s.component == "noise"}
        for eps in dict.fromkeys(s.eps for s in attacks if s.steps):
            if eps not in noises:
                yield Slice(f"noise@{eps * 255:g}", "noise", "noise", "noise", eps, 1)
        for label in profile.benign:
            yield Slice(f"benign:{label}", "benign", label, _used(toolkit, "augmentation", label))


def _steps_are_kept(toolkit: Toolkit, attack: str) -> bool:
    """Whether an attack has the checkpoints of a run; True of one that cannot be had."""
    with _components_aside():
        return hasattr(toolkit.build("attack", attack).component, "checkpoints")
    return True


def attack_slice(toolkit: Toolkit, label: str) -> Slice:
    resolved = _check(toolkit, "attack", label)
    if resolved is None:  # nobody can say how strong it would have been
        return Slice(label, "attack", label, _used(toolkit, "attack", label))
    eps, steps = float(resolved.params["eps"]), int(resolved.params.get("steps", 1))
    return Slice(label, "attack", label, resolved.entry.name, eps, steps)


def _cells(
    toolkit: Toolkit, profile: Profile, task: str, dataset: str, seed: int, slices: tuple[Slice, ...]
) -> Iterator[Cell]:
    common: dict[str, Any] = {
        "task": task,
        "generator": _used(toolkit, "generator", task),
        "dataset": _used(toolkit, "dataset", dataset),
        "seed": seed,
    }
    for part in slices:
        if part.role == "adaptive":
            yield from _adaptive_cells(profile, part, common)
            continue
        if part.role in ("attack", "sweep"):
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


def _adaptive_cells(profile: Profile, part: Slice, common: dict[str, Any]) -> Iterator[Cell]:
    assert profile.adaptive is not None
    for label in profile.adaptive.detectors:
        yield Cell(slice=part, role="detector", component=label, **common)
    # What the same effort does without a defense stands beside what it does with one.
    labels = list(dict.fromkeys(["identity", *profile.adaptive.defenses]))
    for label in labels if profile.adaptive.defenses else ():
        yield Cell(slice=part, role="defense", component=label, **common)

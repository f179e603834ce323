"""Which cells of two runs measure the same thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from magdr_core.compare.load import ComparedRun
from magdr_core.errors import MagdrError
from magdr_core.results.cell import BENIGN, CLEAN, NOISE, SWEEP, CellResult, Facts

By = Literal["settings", "label"]
"""Cells are paired where attack, strength and steps are the same, or where labels are, whatever they say."""


class Place(NamedTuple):
    """What a cell measures, whatever its result depends on besides.

    A stronger attack is another attack, even under the same label, unless cells are paired by label alone.
    """

    task: str
    attack: str
    eps: float
    steps: int
    slice_role: str
    knowledge: str
    role: str
    component: str
    seed: int
    channel: str = ""

    @classmethod
    def of(cls, facts: Facts) -> Place:
        """Of a cell's facts."""
        own = {name: getattr(facts, name) for name in cls._fields}
        return cls(**own | {"eps": float(f"{facts.eps:.9g}")})

    def labels(self) -> Place:
        """The same of every attack that has this label: without its strength and steps. A sweep's points have
        nothing but their steps to tell them apart."""
        attack = self.attack.partition("@")[0] if self.slice_role == NOISE else self.attack
        return self._replace(attack=attack, eps=0.0, steps=self.steps if self.slice_role == SWEEP else 0)

    @property
    def where(self) -> str:
        """The images: a task's under an attack."""
        behind = f", through {self.channel}" if self.channel else ""
        if self.slice_role == CLEAN:
            return f"{self.task}, clean images{behind}"
        if self.slice_role == BENIGN:
            return f"{self.task}, {self.attack.removeprefix('benign:')} of clean images"
        steps = f", {self.steps} step{'s' if self.steps != 1 else ''}" if self.steps else ""
        known = f", {self.knowledge}" if self.knowledge not in ("none", "oblivious") else ""
        return f"{self.task}, {self.attack} (eps {self.eps * 255:.4g}/255{steps}){known}{behind}"

    def __str__(self) -> str:
        what = "attack itself" if self.role == "attack" else f"{self.role} {self.component}"
        return f"{self.where}, {what}"


@dataclass(frozen=True, eq=False)
class Pair:
    """Two cells of one place, and the samples that both have, in A's order.

    Attributes:
        place: A's; B's may have another strength or other steps where cells are paired by label.
    """

    place: Place
    a: CellResult
    b: CellResult
    ids: tuple[str, ...]

    @property
    def unlike(self) -> str:
        """In what the attack differs: `eps 6/255 -> 8/255`, say; empty if in nothing."""
        before, after = self.place, Place.of(self.b.facts)
        parts = []
        if before.eps != after.eps:
            parts.append(f"eps {before.eps * 255:.4g}/255 -> {after.eps * 255:.4g}/255")
        if before.steps != after.steps:
            parts.append(f"steps {before.steps} -> {after.steps}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Matching:
    """All pairs, in A's order; and what only one run has, or has on other pictures."""

    pairs: list[Pair]
    only_a: list[Place]
    only_b: list[Place]
    other_images: list[Place]
    all_a: Collection[Place]
    all_b: Collection[Place]

    @property
    def alone_a(self) -> list[str]:
        """What only A has, in words."""
        return summarised(self.only_a, self.all_b)

    @property
    def alone_b(self) -> list[str]:
        """What only B has, in words."""
        return summarised(self.only_b, self.all_a)

    @property
    def alike(self) -> int:
        """How many that only A has pair with such of B by label: the attack has another strength or steps."""
        return len({place.labels() for place in self.only_a} & {place.labels() for place in self.only_b})


def keyed(cells: Sequence[CellResult], by: By) -> dict[Place, CellResult]:
    """Cells by what they are paired by; those that labels do not tell apart by their whole places."""
    places = [Place.of(cell.facts) for cell in cells]
    if by == "settings":
        return dict(zip(places, cells, strict=True))
    times = Counter(place.labels() for place in places)
    names = [place.labels() if times[place.labels()] == 1 else place for place in places]
    return dict(zip(names, cells, strict=True))


def match(a: ComparedRun, b: ComparedRun, by: By = "settings") -> Matching:
    """Cells of the same place on the same pictures.

    Args:
        by: with `label` cells are paired whose task, images, role, label, attack's label, knowledge and seed
            are the same, though the attack may have another strength or other steps.

    Raises:
        MagdrError: there is none; the message says in what the runs differ.
    """
    ours, theirs = keyed(a.cells, by), keyed(b.cells, by)
    pairs, other = [], []
    for name, cell in ours.items():
        twin = theirs.get(name)
        if twin is None:
            continue
        place, ids = Place.of(cell.facts), _shared_ids(cell, twin)
        if ids:
            pairs.append(Pair(place, cell, twin, ids))
        else:
            other.append(place)
    failed = {name for run in (a, b) for name in keyed(run.failures, by)}
    only_a = [Place.of(c.facts) for name, c in ours.items() if name not in theirs and name not in failed]
    only_b = [Place.of(c.facts) for name, c in theirs.items() if name not in ours and name not in failed]
    if not pairs:
        raise MagdrError(f"{a.folder} and {b.folder} share no cell: {_reason(ours, theirs, bool(other))}")
    all_a, all_b = ([Place.of(c.facts) for c in side.values()] for side in (ours, theirs))
    return Matching(pairs, only_a, only_b, other, all_a, all_b)


def _shared_ids(a: CellResult, b: CellResult) -> tuple[str, ...]:
    """Samples of both, by name; none if the names stand for other pictures."""
    data = [cell.facts.data for cell in (a, b)]
    if None not in data and data[0] != data[1]:
        return ()
    there = set(b.ids)
    return tuple(name for name in a.ids if name in there)


def _reason(ours: Mapping[Place, Any], theirs: Mapping[Place, Any], other_images: bool) -> str:
    """The first thing in which two runs differ altogether."""
    if other_images:
        return "they measured other images"
    for name, plain in (
        ("task", "tasks"),
        ("seed", "seeds"),
        ("attack", "attacks"),
        ("component", "components"),
    ):
        left, right = (_distinct(getattr(place, name) for place in side) for side in (ours, theirs))
        if not left or not right:
            return f"{'A' if not left else 'B'} has no cell that did not fail"
        if not set(left) & set(right):
            return f"{plain} {', '.join(left)} there, {', '.join(right)} here"
    return "no component stands under the same attack in both"


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(map(str, values)))


def summarised(places: Sequence[Place], others: Collection[Place]) -> list[str]:
    """Places that one run has alone as texts: whole attacks and whole components are told as such.

    Args:
        others: all places of the other run.
    """
    images = {(p.task, p.where, p.seed) for p in others}
    components = {(p.task, p.role, p.component) for p in others}
    tasks, seeds = {p.task for p in others}, {p.seed for p in others}
    found: dict[str, int] = {}
    for p in places:
        if p.task not in tasks:
            what = f"task {p.task}"
        elif p.seed not in seeds:
            what = f"{p.task}, seed {p.seed}"
        elif (p.task, p.where, p.seed) not in images:
            what = p.where
        elif (p.task, p.role, p.component) not in components:
            what = f"{p.task}, {p.role} {p.component}"
        else:
            what = str(p)
        found[what] = found.get(what, 0) + 1
    return [f"{what}: {n} cell{'s' if n != 1 else ''}" for what, n in found.items()]


def grouped(places: Sequence[Place]) -> list[str]:
    """Places as texts, those of one component together."""
    found: dict[tuple[str, str, str], list[Place]] = {}
    for p in places:
        found.setdefault((p.task, p.role, p.component), []).append(p)
    return [
        str(own[0]) if len(own) == 1 else f"{task}, {role} {component}: {len(own)} cells"
        for (task, role, component), own in found.items()
    ]

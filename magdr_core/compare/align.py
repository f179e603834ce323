"""Which cells of two runs measure the same thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from magdr_core.compare.load import ComparedRun
from magdr_core.errors import MagdrError
from magdr_core.results.cell import BENIGN, CLEAN, Cell, Facts


class Place(NamedTuple):
    """What a cell measures, whatever its result depends on besides.

    A stronger attack is another attack, even under the same label.
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

    @classmethod
    def of(cls, facts: Facts) -> Place:
        """Of a cell's facts."""
        own = {name: getattr(facts, name) for name in cls._fields}
        return cls(**own | {"eps": float(f"{facts.eps:.9g}")})

    @property
    def where(self) -> str:
        """The images: a task's under an attack."""
        if self.slice_role == CLEAN:
            return f"{self.task}, clean images"
        if self.slice_role == BENIGN:
            return f"{self.task}, {self.attack.removeprefix('benign:')} of clean images"
        steps = f", {self.steps} step{'s' if self.steps != 1 else ''}" if self.steps else ""
        known = f", {self.knowledge}" if self.knowledge not in ("none", "oblivious") else ""
        return f"{self.task}, {self.attack} (eps {self.eps * 255:.4g}/255{steps}){known}"

    def __str__(self) -> str:
        what = "attack itself" if self.role == "attack" else f"{self.role} {self.component}"
        return f"{self.where}, {what}"


@dataclass(frozen=True, eq=False)
class Pair:
    """Two cells of one place, and the samples that both have, in A's order."""

    place: Place
    a: Cell
    b: Cell
    ids: tuple[str, ...]


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


def match(a: ComparedRun, b: ComparedRun) -> Matching:
    """Cells of the same place on the same pictures.

    Raises:
        MagdrError: there is none; the message says in what the runs differ.
    """
    ours = {Place.of(cell.facts): cell for cell in a.cells}
    theirs = {Place.of(cell.facts): cell for cell in b.cells}
    pairs, other = [], []
    for place, cell in ours.items():
        twin = theirs.get(place)
        if twin is None:
            continue
        ids = _shared_ids(cell, twin)
        if ids:
            pairs.append(Pair(place, cell, twin, ids))
        else:
            other.append(place)
    failed = {Place.of(c.facts) for run in (a, b) for c in run.failures}
    only_a = [place for place in ours if place not in theirs and place not in failed]
    only_b = [place for place in theirs if place not in ours and place not in failed]
    if not pairs:
        raise MagdrError(f"{a.folder} and {b.folder} share no cell: {_reason(ours, theirs, bool(other))}")
    return Matching(pairs, only_a, only_b, other, list(ours), list(theirs))


def _shared_ids(a: Cell, b: Cell) -> tuple[str, ...]:
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

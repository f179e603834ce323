"""Cells as roles see them: planned, partly there already, and under attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Slice


@dataclass(frozen=True)
class PlannedCell:
    """One component on one slice of one task with one seed.

    Attributes:
        role: as in the column `role`; :func:`role_of` knows who computes it.
        component: its label; of an attack, the slice's name.
        knowledge: what the attacker knew.
        point: what tells the slice from others of its name, for people.
        also: another role whose figures the cell gives; empty of most.
    """

    task: str
    generator: str
    dataset: str
    slice: Slice
    role: str
    component: str
    seed: int
    knowledge: str = "oblivious"
    point: str = ""
    also: str = ""

    def in_shard(self, shard: tuple[int, int]) -> bool:
        """Whether the cell is one of part i of n. Its place in the plan decides, not its result's key: that
        holds the calibration, which each part would have to make for all cells."""
        i, n = shard
        part = self.slice
        place: list[Any] = [self.task, self.seed, self.role, self.component, part.name, part.eps, part.steps]
        place += [part.channel] if part.channel else []
        return int(digest(place), 16) % n == i - 1

    def facts(self, scenario: Scenario) -> dict[str, Any]:
        """What is known of the cell before its component is there, as JSON; the scenario is its slice's."""
        told = {
            "columns": dict(scenario.columns(self.slice)),
            "variant": scenario.variant(self.slice),
            "also": self.also,
            "channel": self.slice.channel,
        }
        return {
            "task": self.task,
            "generator": self.generator,
            "dataset": self.dataset,
            "attack": self.slice.name,
            "slice_role": scenario.fact_of(self.slice),
            "eps": self.slice.eps,
            "steps": self.slice.steps,
            "knowledge": self.knowledge,
            "role": self.role,
            "component": self.component,
            "seed": self.seed,
            "noise": self.slice.is_noise,
            **{name: value for name, value in told.items() if value},
        }

    def __str__(self) -> str:
        row = f"{self.role} {self.component}"  # a detector and a defense may have one label
        return f"{self.task} / {self.slice.name}{self.point} / {row} (seed {self.seed})"


@dataclass(frozen=True, eq=False)
class UnderAttack:
    """What an attack that knows the whole pipeline is aimed at.

    Attributes:
        detector: whose flags count: the cell's own, or the one before the cell's defense.
        defense: a guarded defense; None of a detector by itself.
        oracle: whether exact masks travel with the conditions.
    """

    detector: CalibratedDetector | None
    defense: Any
    oracle: bool

    @property
    def guarded(self) -> Any:
        return None if self.detector is None else self.detector.detector

    @property
    def threshold(self) -> float:
        return 0.0 if self.detector is None else self.detector.threshold


@dataclass(frozen=True, eq=False)
class ReadyDefense:
    """A defense, or a restoration that stands as one, for whoever wants the pictures that it restores.

    Attributes:
        restored: samples as received, n of them, to their restored images `[n,3,H,W]`, 8-bit: with the same
            random draws as in the defense's own rows.
        oracle: whether the samples' conditions have to carry exact masks.
        key: what its results depend on, calibration included, as JSON.
    """

    restored: Callable[[Samples], Tensor]
    oracle: bool
    key: Any


@dataclass(frozen=True, eq=False)
class Portion:
    """What a component did on some of a cell's images.

    Attributes:
        ids: of these images, in the order of the values.
        values, extra, pictures: see :class:`~magdr_core.components.scenario.Measured`.
        passes: generator passes that it took.
        seconds: that it took.
    """

    ids: tuple[str, ...]
    values: Mapping[str, list[float]]
    extra: Mapping[str, Any]
    pictures: Mapping[str, Tensor]
    passes: float = 0.0
    seconds: float = 0.0

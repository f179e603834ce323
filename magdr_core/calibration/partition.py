"""Which faces calibration uses for what: parts that never meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from magdr_core.registry.settings import CalibrationPolicy

PartName = Literal["fit", "clean", "held_out", "learned", "train"]

IN_ORDER: tuple[PartName, ...] = ("fit", "clean", "held_out", "learned")
"""The parts of the split `calibration`, as they follow each other in it."""


@dataclass(frozen=True)
class CalibrationPart:
    """Consecutive faces of one split.

    Attributes:
        split: the dataset's split.
        first: index of the first of them in the split.
        count: how many there are.
    """

    split: str
    first: int
    count: int

    @property
    def samples(self) -> range:
        """Their indices in the split."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class CalibrationPartition:
    """The faces of one calibration, by what they are for.

    The first four are laid one after the other into the split `calibration`, so no two share a face; `train`
    is of another split, which the dataset keeps apart.

    Attributes:
        fit: clean faces on which scores are standardised.
        clean: clean faces that set the false-positive threshold.
        held_out: faces, clean and attacked, that nothing learned from: for the threshold with the best F1 and
            for MagDR's gate.
        learned: faces, clean, attacked, with noise and with benign edits, that components learn from.
        train: faces of the split `train`, clean and attacked, for supervised baselines.
    """

    fit: CalibrationPart
    clean: CalibrationPart
    held_out: CalibrationPart
    learned: CalibrationPart
    train: CalibrationPart

    @classmethod
    def of(cls, policy: CalibrationPolicy) -> CalibrationPartition:
        """The partition that a registry's `[calibration]` asks for."""
        return cls.sized(policy.fit, policy.clean, policy.attacked, policy.train)

    @classmethod
    def sized(cls, fit: int, clean: int, attacked: int, train: int = 0) -> CalibrationPartition:
        """A partition of these numbers of faces; `attacked` ones are held out and as many learned from."""
        counts = (fit, clean, attacked, attacked)
        firsts = accumulate(counts, initial=0)
        parts = {
            name: CalibrationPart("calibration", first, n)
            for name, first, n in zip(IN_ORDER, firsts, counts, strict=False)
        }
        return cls(**parts, train=CalibrationPart("train", 0, train))

    def part(self, name: PartName) -> CalibrationPart:
        found: CalibrationPart = getattr(self, name)
        return found

    def samples(self, name: PartName) -> range:
        """The indices of a part's faces in its split."""
        return self.part(name).samples

    def __iter__(self) -> Iterator[CalibrationPart]:
        """The parts of the split `calibration`, in order."""
        return (self.part(name) for name in IN_ORDER)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many faces each part of the split `calibration` has, in order."""
        return tuple(part.count for part in self)

    def times(self, repeats: int) -> CalibrationPartition:
        """The same with every face used so many times: `repeats` samples of each in its part."""
        return CalibrationPartition.sized(
            self.fit.count * repeats,
            self.clean.count * repeats,
            self.held_out.count * repeats,
            self.train.count * repeats,
        )

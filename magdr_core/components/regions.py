"""The regions that masks stand for: named by the parser that makes the masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from torch import Tensor

from magdr_core.functional import PARTS, constant


@dataclass(frozen=True)
class Regions:
    """Names of regions, in the order of a mask's (or a target's) second dimension.

    A parser declares those of its masks as its attribute `regions`, a generator those of its `edited`; who
    has none means the twelve `PARTS`.

    Attributes:
        names: one for each region.
        parts: which of `PARTS` a region takes together, by its name; one that is named as a part is that
            part. Thus a parser of `face` and `rest` goes with a generator that edits `mouth`.

    Raises:
        ValueError: no name, one that is there twice, or an unknown region or part.

    >>> coarse = Regions(("head", "rest"), {"head": ("skin", "eyes"), "rest": ("background",)})
    >>> len(coarse), coarse.index("rest")
    (2, 1)
    """

    names: tuple[str, ...]
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"regions have names of their own, got {', '.join(self.names) or 'none'}")
        unknown = [name for name in self.parts if name not in self.names]
        unknown += [part for held in self.parts.values() for part in held if part not in PARTS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of the regions {', '.join(self.names)} nor of PARTS")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The place of a region. Raises ValueError for a name that is none."""
        if name not in self.names:
            raise ValueError(f"unknown region {name!r}; regions are {', '.join(self.names)}")
        return self.names.index(name)

    def holds(self, name: str) -> frozenset[str]:
        """The parts that a region takes together."""
        return frozenset(self.parts.get(name, (name,) if name in PARTS else ()))

    def target(self, edited: Tensor, over: Regions) -> Tensor:
        """A target over other regions as one over these: bool `[B,M]` -> bool `[B,N]`.

        A region is in the target if it has its name, or a part, in common with a region that is.

        Raises:
            ValueError: one of the other regions is in none of these.
        """
        if over == self:
            return edited
        shared = constant(_shared(over, self), edited.device)
        return (edited[:, :, None] & shared).any(1)


@lru_cache(maxsize=64)
def _shared(over: Regions, own: Regions) -> tuple[tuple[bool, ...], ...]:
    """Which of `own` (columns) has something of which of `over` (rows)."""
    rows = []
    for name in over.names:
        row = tuple(name == other or bool(over.holds(name) & own.holds(other)) for other in own.names)
        if not any(row):
            raise ValueError(
                f"the parser's regions ({', '.join(own.names)}) have none for {name!r}, which the generator "
                "may edit; Regions(names, parts={NAME: [PART, ...]}) says which parts a region takes together"
            )
        rows.append(row)
    return tuple(rows)


FACE_PARTS = Regions(PARTS)
"""The twelve parts of a face: what parsers and generators mean that declare nothing."""


def regions_of(component: Any) -> Regions:
    """The regions that a parser or a generator declares; else the twelve parts."""
    found: Regions = getattr(component, "regions", FACE_PARTS)
    return found

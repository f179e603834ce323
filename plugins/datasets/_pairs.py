"""Real videos with the fakes that were made of them, and which of their frames belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from magdr_core.api import DataError, suggestion

from ._clips import Clip
from ._splits import digest

NEAR = 5
"""Frames so far apart make a pair where a real video's and its fake's were extracted at other places."""


class RecordedFake(NamedTuple):
    """A fake.

    Attributes:
        clip: the video.
        masks: where it is forged, frame by frame; None where nobody has published it.
    """

    clip: Clip
    masks: Clip | None = None


@dataclass(frozen=True, eq=False)
class RecordedPair:
    """A real video and what was made of it.

    Attributes:
        key: names the pair; a part of ids.
        people: who is seen, then whose face was put in.
        real: the video.
        fakes: by manipulation.
    """

    key: str
    people: tuple[str, ...]
    real: Clip
    fakes: Mapping[str, RecordedFake]


def check_manipulation(name: str, known: Sequence[str], dataset: str) -> None:
    """Raises DataError if a dataset has no fakes of that name."""
    if name not in known:
        there = f"{', '.join(known)}{suggestion(name, known)}"
        raise DataError(f"{dataset} has no recorded fakes {name!r}; it has {there}")


def partners(real: Sequence[int], fake: Sequence[int]) -> dict[int, int]:
    """For each frame of a real video that has one: the fake's at the same place, or else, as long as neither
    is taken and they are within `NEAR`, the nearest.

    >>> partners(range(3), range(2)), partners([0, 9, 19], [0, 10, 30])
    ({0: 0, 1: 1}, {0: 0, 9: 10})
    """
    same = set(real) & set(fake)
    beside = {at: at for at in same}
    free = sorted(set(fake) - same)
    for at in sorted(set(real) - same):
        nearest = min(free, key=lambda other: abs(other - at), default=None)
        if nearest is not None and abs(nearest - at) <= NEAR:
            beside[at] = nearest
            free.remove(nearest)
    return dict(sorted(beside.items()))


def some_of(pairs: Sequence[RecordedPair], most: int) -> list[RecordedPair]:
    """At most so many, in an order in which neighbours are not of one person."""
    mixed = sorted(pairs, key=lambda pair: digest(pair.key))
    return mixed[:most] if most else mixed

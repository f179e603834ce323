"""Splits of recorded forgeries in which no test person is ever met before.

Whoever is seen in a fake, and whoever's face was put in, are both people of it. Official lists are kept for
the test split; what shares a person with it is left out of the others, and said so in one line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from magdr_core.api import notice

from ._splits import SHARES, SPLITS

TO_TRAIN_AND_CALIBRATE = (SHARES[0] / (SHARES[0] + SHARES[1]), SHARES[1] / (SHARES[0] + SHARES[1]))
"""Shares of people where a list says who is for testing, and nobody who is for calibration."""


class HasPeople(Protocol):
    """Something that is about some people.

    Attributes:
        people: their names, whoever is seen first.
    """

    @property
    def people(self) -> tuple[str, ...]: ...


Item = TypeVar("Item", bound=HasPeople)


def by_people(items: Sequence[Item], dataset: str) -> dict[str, list[Item]]:
    """Items by split: people are shared out, and an item is in a split if all of its people are.

    Args:
        dataset: its name, for the line that says how many are left out.
    """
    homes = _homes(items, SHARES)
    shared: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for item in items:
        of = {homes[person] for person in item.people}
        if len(of) == 1:
            shared[SPLITS[of.pop()]].append(item)
    _tell(items, shared, dataset)
    return shared


def beside_test(
    test: Sequence[Item], calibration: Sequence[Item], others: Sequence[Item], dataset: str
) -> dict[str, list[Item]]:
    """Items by split, where a list says which ones are for testing.

    What shares a person with them is left out of the other splits, and what shares one with the calibration
    split out of `train`. Without a calibration list people of the others are shared out for one: 3 to train
    for each one to calibrate.

    Args:
        test, calibration, others: as the lists have them; an item of `test` is nowhere else, whatever these
            say. An empty `calibration` has yet to be made.
        dataset: its name, for the line that says how many are left out.
    """
    calibrating = set(map(id, calibration))
    every = list({id(item): item for item in (*test, *calibration, *others)}.values())
    tested = {person for item in test for person in item.people}
    free = [item for item in every[len(test) :] if not tested & {*item.people}]
    listed = [item for item in free if id(item) in calibrating]
    if not listed:
        homes = _homes(free, TO_TRAIN_AND_CALIBRATE)
        listed = [item for item in free if {homes[person] for person in item.people} == {1}]
    calibrated = {person for item in listed for person in item.people}
    train = [item for item in free if not calibrated & {*item.people}]
    shared = dict(zip(SPLITS, (train, listed, [*test]), strict=True))
    _tell(every, shared, dataset)
    return shared


def _homes(items: Sequence[Item], shares: Sequence[float]) -> dict[str, int]:
    """Person to the number of a share, in an order that has nothing to do with names."""
    people = sorted({person for item in items for person in item.people}, key=_shuffled)
    homes: dict[str, int] = {}
    start, so_far = 0, 0.0
    for number, share in enumerate(shares):
        so_far += share * len(people)
        # However few there are, no share is empty as long as there is a person for each.
        end = min(max(round(so_far), start + 1), len(people) - (len(shares) - 1 - number))
        homes |= dict.fromkeys(people[start:end], number)
        start = max(start, end)
    return homes


def _shuffled(person: str) -> bytes:
    return hashlib.sha256(person.encode("utf-8", "surrogateescape")).digest()


def _tell(every: Sequence[Item], shared: Mapping[str, Sequence[Item]], dataset: str) -> None:
    left = len(every) - sum(len(items) for items in shared.values())
    if left:
        kept = ", ".join(f"{len(items)} {name}" for name, items in shared.items())
        notice(
            f"{dataset}: {left} of {len(every)} fakes are left out, since their people are in several splits "
            f"({kept} are kept)"
        )

"""Other people's pictures that a benchmark gives a generator: for each picture one, whatever the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, SampleRng, Split


class Donors:
    """A split that is looked into one picture at a time, since a dataset may draw pictures otherwise in
    another batch, and at each picture once."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._seen: dict[int, Batch] = {}

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, i: int) -> Batch:
        if i not in self._seen:
            self._seen[i] = self._split[[i]]
        return self._seen[i]

    def who(self, i: int) -> int | None:
        """The identity of whom a picture shows, where the dataset tells."""
        named: Tensor | None = self[i].identities
        return None if named is None else int(named[0])

    def pictures(self, indices: list[int], device: torch.device) -> Tensor:
        """`[n,3,h,w]`."""
        return torch.cat([self[i].images for i in indices]).to(device)

    def first_and_later(self, i: int) -> tuple[int, int] | None:
        """Two pictures of whoever is on one: the first one, and that one itself, or the second where it is
        the first. Pictures of a person follow each other; where a dataset names nobody, all are one person's.

        Returns:
            None where there is only one.
        """
        who, start = self.who(i), i
        if who is None:
            start = 0
        while start > 0 and self.who(start - 1) == who:
            start -= 1
        later = i if i > start else i + 1
        return (start, later) if later < len(self) and self.who(later) == who else None


def others(
    split: Split | None, batch: Batch, rng: SampleRng, *, network: str, use: str
) -> tuple[Donors, list[int]]:
    """For each picture a donor who is somebody else, as far as a dataset tells.

    Args:
        network: what needs them, and
        use: what for, for the messages.

    Returns:
        The donors, and indices of them.

    Raises:
        DataError: no donors, or none who is somebody else.
    """
    if split is None or not len(split):
        raise DataError(f"{network} needs {use}: name a dataset as donor")
    donors = Donors(split)
    chosen = rng.integers(1, high=len(donors))[:, 0].tolist()
    found = [_other(donors, start, batch, row) for row, start in enumerate(chosen)]
    if None in found:
        raise DataError(f"{network} finds no other person among the donors")
    return donors, [i for i in found if i is not None]


def _other(donors: Donors, start: int, batch: Batch, row: int) -> int | None:
    """The first from an index on who is somebody else."""
    who = None if batch.identities is None else int(batch.identities[row])
    for step in range(len(donors)):
        i = (start + step) % len(donors)
        if donors[i].ids[0] == batch.ids[row]:
            continue
        if who is None or donors.who(i) != who:
            return i
    return None

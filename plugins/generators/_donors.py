"""Other people's pictures that a benchmark gives a generator: for each picture one, whatever the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, SampleRng, Split


def others(donors: Split | None, batch: Batch, rng: SampleRng, *, network: str, use: str) -> list[int]:
    """Indices of donors, for each picture one that is somebody else's, as far as a dataset tells.

    Args:
        network: what needs them, and
        use: what for, for the messages.

    Raises:
        DataError: no donors, or none who is somebody else.
    """
    if donors is None or not len(donors):
        raise DataError(f"{network} needs {use}: name a dataset as donor")
    chosen = rng.integers(1, high=len(donors))[:, 0].tolist()
    found = [_other(donors, start, batch, row) for row, start in enumerate(chosen)]
    if None in found:
        raise DataError(f"{network} finds no other person among the donors")
    return [i for i in found if i is not None]


def _other(donors: Split, start: int, batch: Batch, row: int) -> int | None:
    """The first from an index on who is somebody else."""
    for step in range(len(donors)):
        i = (start + step) % len(donors)
        donor = donors[[i]]
        if donor.ids[0] == batch.ids[row]:
            continue
        if donor.identities is None or batch.identities is None:
            return i
        if int(donor.identities[0]) != int(batch.identities[row]):
            return i
    return None


def first_and_later(donors: Split, i: int) -> tuple[int, int] | None:
    """Two pictures of the person on one: the first one, and that one itself, or the second where it is the
    first. Pictures of a person follow each other; where a dataset names nobody, all are one person's.

    Returns:
        None where there is only one.
    """
    who = _who(donors, i)
    if who is None:
        start = 0
    else:
        start = i
        while start > 0 and _who(donors, start - 1) == who:
            start -= 1
    later = i if i > start else i + 1
    if later >= len(donors) or _who(donors, later) != who:
        return None
    return start, later


def _who(donors: Split, i: int) -> int | None:
    named: Tensor | None = donors[[i]].identities
    return None if named is None else int(named[0])


def pictures(donors: Split, indices: list[int], device: torch.device) -> Tensor:
    """`[n,3,h,w]`. One at a time: a dataset may draw pictures otherwise in another batch."""
    return torch.cat([donors[[i]].images for i in indices]).to(device)

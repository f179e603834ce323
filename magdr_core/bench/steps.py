"""What the long steps inside a cell and a row of checks are called while they run.

Each is told as (what, done, total), with a total of 0 where nobody knows it. A terminal shows the latest one.
Where there is none, steps inside a cell or a row, whose names begin with a mark, are left out: the cell's own
line follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from magdr_core.components.batch import Samples

Told = Callable[[int, int], None]
"""Takes (done, total) of one step."""

INSIDE = "- "


def silent(done: int, total: int) -> None:
    """Tells nobody."""


def inside(what: str) -> str:
    """The name of a step that is part of what gets a line of its own."""
    return f"{INSIDE}{what}"


def batches(samples: Samples, told: Told) -> Iterator[Samples]:
    """A benchmark's batches, telling before the first and after each how many images are done."""
    done = 0
    told(0, len(samples))
    for batch in samples.batches("test"):
        yield batch
        done += len(batch)
        told(done, len(samples))

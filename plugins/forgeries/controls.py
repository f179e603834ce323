"""What a forensic table is checked with: pipelines without a forgery, forgeries as sharp as what is around
them, and pictures that the renderer itself drew otherwise."""

from __future__ import annotations

from typing import Any

from magdr_core.api import Batch, DataError, Forged, ForgerySpec, Need, SampleRng, hookimpl

from ._paste import Innocent, unforged
from ._rerender import How, Rerendered
from ._sharpness import SharpnessMatched

MAGDR_API = 1

SPLITS = ("train", "calibration", "test")


class Redrawn:
    """The same scene drawn again with one thing changed, by the dataset itself: counts as real.

    There is no trace of a forgery in it. A model that scores it higher than the picture that it was drawn
    after has learned what is shown.

    Args:
        dataset: dataset that draws the scene again.
        how: what is drawn otherwise: an attribute, the expression, or the person.

    Raises:
        DataError: the dataset cannot draw so.
    """

    def __init__(self, *, dataset: Any, how: How = "edited") -> None:
        self.by_split = [Rerendered(dataset.split(name), how) for name in SPLITS]

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Pictures `[B,3,H,W]` with empty masks `[B,1,H,W]`."""
        for family in self.by_split:
            if family.has(batch):
                return unforged(family(batch, donors, rng).images)
        raise DataError(f"{batch.ids[0]} is no picture of the dataset that should draw it again")


@hookimpl
def magdr_forgeries() -> list[ForgerySpec]:
    return [
        ForgerySpec(name="null", build=Innocent, needs={"family": Need("forgery")}, null=True),
        ForgerySpec(
            name="sharpness-matched",
            build=SharpnessMatched,
            needs={"family": Need("forgery")},
            donor=True,
        ),
        ForgerySpec(name="redrawn", build=Redrawn, needs={"dataset": Need("dataset")}, null=True),
    ]

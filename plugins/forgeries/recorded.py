"""Fakes that somebody else made and recorded: those of published data sets."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, Forged, ForgerySpec, Need, SampleRng, hookimpl

from ._paste import near_a_change

MAGDR_API = 1


class Recorded:
    """The fake that a data set has beside each of its real pictures, looked up by the picture's id.

    The dataset is that of the task: it has `manipulations`, `reals(ids)`, `recorded(ids, manipulation)` and
    `recorded_masks(ids, manipulation)`.

    Args:
        dataset: dataset whose pictures are forged.
        manipulation: manipulation whose fakes are taken, as the dataset calls it; the family is called
            `recorded:MANIPULATION`.
        masks: "recorded" are those that the data set's authors published, each by its own definition; a
            picture without one counts in no figure of localization. "changed" is made here: 3 x 3 pixels
            around each whose difference from the real one is above `changed` in some channel, coding noise
            and all. "none" says nothing of where.
        changed: difference from which a pixel counts as "changed", in levels of 255.
        group: relatives of the family: "generators" of neural networks, "blends" of what is drawn by
            a face model, as FaceSwap and Face2Face.

    Raises:
        DataError: the dataset has no recorded fakes, or none of that name.
    """

    def __init__(
        self,
        *,
        dataset: Any,
        manipulation: str = "",
        masks: Literal["recorded", "changed", "none"] = "recorded",
        changed: float = 20.0,
        group: Literal["generators", "blends", "local", "whole"] = "generators",
    ) -> None:
        known = getattr(dataset, "manipulations", ())
        if not known:
            raise DataError(
                "recorded: its dataset has no recorded fakes, as faceforensics-fakes or celeb-df has"
            )
        if manipulation not in known:
            raise DataError(f"recorded: manipulation = {manipulation!r}: expected one of {', '.join(known)}")
        self.dataset, self.manipulation = dataset, manipulation
        self.masks, self.changed = masks, changed

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored.

        Raises:
            DataError: a picture is none of the dataset's, or a file is missing or damaged.
        """
        x = batch.images
        real = self.dataset.reals(batch.ids)
        if real.shape != x.shape or not torch.equal(real, x.cpu()):
            raise DataError(f"{batch.ids[0]} is another picture in the dataset whose fakes are recorded")
        fake = self.dataset.recorded(batch.ids, self.manipulation)
        masks = self._masks(batch, real, fake)
        return Forged(fake.to(x), masks.to(x), torch.ones_like(x[:, :1]))

    def _masks(self, batch: Batch, real: Tensor, fake: Tensor) -> Tensor:
        if self.masks == "recorded":
            found: Tensor = self.dataset.recorded_masks(batch.ids, self.manipulation)
            return found
        if self.masks == "changed":
            return near_a_change(real, fake, self.changed / 255)
        return torch.zeros_like(real[:, :1])


@hookimpl
def magdr_forgeries() -> list[ForgerySpec]:
    return [
        ForgerySpec(
            name="recorded",
            build=Recorded,
            needs={"dataset": Need("dataset")},
            definition="recorded",
            named_by="manipulation",
            grouped_by="group",
            tags=("real-data",),
        )
    ]

"""Renderer negatives: another picture by the same renderer, with no trace of a forgery to be found.

Nobody can claim to detect these but by what they show; a forensic model that scores them high has learned
the scene.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, Forged, SampleRng

from ._paste import unforged

How = Literal["edited", "reenacted", "replaced"]

FLIPPED = ("Smiling", "Eyeglasses", "Mouth_Slightly_Open", "Wearing_Hat", "Bangs", "Mustache", "Pale_Skin")
"""Attributes of which one is turned over."""

MOVED = 0.4
"""An action unit is set at least this far from where it was, with probability one half."""


class Rerendered:
    """What the dataset itself draws of the same scene: one attribute turned over, another expression, or the
    other person's face. The mask is every pixel that is another.

    Args:
        split: of a dataset that draws, with `edited`, `reenacted` and `replaced`, and with `indices_of(ids)`,
            -1 of pictures that it does not have; the batch must be of it.
        how: which of these.
    """

    def __init__(self, split: Any, how: How) -> None:
        self.split, self.how = split, how
        if not (hasattr(split, how) and hasattr(split, "indices_of")):
            raise DataError(f"pictures of this dataset cannot be {how} exactly")

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored.

        Raises:
            DataError: faces to be replaced are not of one known person.
        """
        images = self._drawn(self.split.indices_of(batch.ids), batch, rng)
        changed = (images != batch.images).any(1, keepdim=True)
        masks = changed.to(images.dtype)
        return Forged(images, masks, masks)

    def has(self, batch: Batch) -> bool:
        """Whether these are pictures of the split: datasets of different people share their names."""
        indices = self.split.indices_of(batch.ids)
        return min(indices, default=0) >= 0 and bool(torch.equal(self.split[indices].images, batch.images))

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The pictures themselves, as drawn."""
        return unforged(batch.images)

    def _drawn(self, indices: list[int], batch: Batch, rng: SampleRng) -> Tensor:
        if self.how == "replaced":
            drawn: Tensor = self.split.replaced(indices)
        elif self.how == "reenacted":
            drawn = self.split.reenacted(indices, _other_expression(batch, rng))
        else:
            names = [name for name in FLIPPED if name in batch.attributes]
            now, first = (
                torch.stack([one.attributes[name] for name in names], 1) for one in (batch, batch.opening)
            )
            turned = rng.integers(high=len(names))[:, None] == torch.arange(len(names), device=now.device)
            values = torch.where(turned, 1 - first, now)
            drawn = self.split.edited(indices, dict(zip(names, values.unbind(1), strict=True)))
        return drawn


def _other_expression(batch: Batch, rng: SampleRng) -> Tensor:
    """Action units `[B,17]`, half of which moved by at least `MOVED` from where they are as a clip begins."""
    units, first = batch.action_units, batch.opening.action_units
    if units is None or first is None:
        raise DataError("pictures are reenacted by action units, and nobody knows these pictures'")
    count = units.shape[1]
    far = torch.where(
        first > 0.5, first - rng.uniform(count, low=MOVED), first + rng.uniform(count, low=MOVED)
    )
    return torch.where(rng.uniform(count) < 0.5, far.clamp(0, 1), units)

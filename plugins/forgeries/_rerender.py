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
        split: of a dataset that draws, with `edited`, `reenacted` and `replaced`; the batch must be of it.
        how: which of these.
    """

    def __init__(self, split: Any, how: How) -> None:
        self.split, self.how = split, how
        if not hasattr(split, how):
            raise DataError(f"pictures of this dataset cannot be {how} exactly")
        self._first = _number(split[[0]].ids[0])

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored.

        Raises:
            DataError: faces to be replaced are not of one known person.
        """
        indices = [_number(name) - self._first for name in batch.ids]
        images = self._drawn(indices, batch, rng)
        changed = (images != batch.images).any(1, keepdim=True)
        masks = changed.to(images.dtype)
        return Forged(images, masks, masks)

    def has(self, batch: Batch) -> bool:
        """Whether these are pictures of the split: datasets of different people share their names."""
        indices = [_number(name) - self._first for name in batch.ids]
        known = all(0 <= i < len(self.split) for i in indices)
        return known and bool(torch.equal(self.split[indices].images, batch.images))

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
            now = torch.stack([batch.attributes[name] for name in names], 1)
            turned = rng.integers(high=len(names))[:, None] == torch.arange(len(names), device=now.device)
            values = torch.where(turned, 1 - now, now)
            drawn = self.split.edited(indices, dict(zip(names, values.unbind(1), strict=True)))
        return drawn


def _other_expression(batch: Batch, rng: SampleRng) -> Tensor:
    """Action units `[B,17]`, half of which moved by at least `MOVED`."""
    units = batch.action_units
    if units is None:
        raise DataError("pictures are reenacted by action units, and nobody knows these pictures'")
    count = units.shape[1]
    far = torch.where(
        units > 0.5, units - rng.uniform(count, low=MOVED), units + rng.uniform(count, low=MOVED)
    )
    return torch.where(rng.uniform(count) < 0.5, far.clamp(0, 1), units)


def _number(name: str) -> int:
    """Drawn faces are counted through: `face-17` -> 17; -1 of other names."""
    _, _, number = name.rpartition("face-")
    return int(number) if number.isdigit() else -1

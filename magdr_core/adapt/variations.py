"""A few pictures as many: mirrored, moved and in other light, so that nothing learns them by heart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.batch import Batch
from magdr_core.components.protocols import Dataset, Split
from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError
from magdr_core.functional import to_8bit

ZOOM = (1.0, 1.2)
"""How much larger a variation shows the middle of its picture; it may move as far as it then reaches."""

GAMMA = (0.75, 1.35)


class VariedFaces:
    """A dataset whose pictures each come so many times: first as they are, then varied.

    What else is known of a picture (attributes and the like) is kept for its variations, but for exact masks,
    which would have to move along.
    """

    def __init__(self, dataset: Dataset, times: int) -> None:
        self.size = dataset.size
        self.dataset, self.times = dataset, times

    def split(self, name: str) -> VariedSplit:
        return VariedSplit(self.dataset.split(name), self.times)

    def fingerprint(self) -> str:
        return f"{self.dataset.fingerprint()}, {self.times} variations"


class VariedSplit:
    """A split of which everybody comes once before anybody comes again."""

    def __init__(self, split: Split, times: int) -> None:
        self._split, self._times = split, times

    def __len__(self) -> int:
        return len(self._split) * self._times

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """The pictures with these indices; the same index gives the same picture and id for ever."""
        count = len(self._split)
        batch = self._split[[i % count for i in indices]]
        rounds = [i // count for i in indices]
        ids = tuple(f"{id}~{k}" for id, k in zip(batch.ids, rounds, strict=True))
        again = torch.tensor([k > 0 for k in rounds], device=batch.images.device)[:, None, None, None]
        images = torch.where(again, varied(batch.images, ids), batch.images)
        known = {name: value for name, value in batch.annotations.items() if name != "masks"}
        return Batch(images, ids, annotations=known)

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """`[B,3,H,W]` of other datasets. Raises DataError: nobody knows what an edit of these would give."""
        raise DataError("one's own pictures have no exact edits")


def varied(images: Tensor, ids: Sequence[str]) -> Tensor:
    """Each picture mirrored or not, zoomed, moved and in other light, `[B,3,H,W]` in [0,1] -> same, 8-bit.

    Args:
        ids: B names that decide how.
    """
    rng = SampleRng(0, "variations", list(ids), device=images.device)
    zoom = rng.uniform(1, low=ZOOM[0], high=ZOOM[1])[:, 0]
    mirror = torch.where(rng.uniform(1)[:, 0] < 0.5, -1.0, 1.0)
    moved = rng.uniform(2, low=-1.0, high=1.0) * (1 - 1 / zoom)[:, None]
    frames = images.new_zeros(len(images), 2, 3)
    frames[:, 0, 0], frames[:, 1, 1] = mirror / zoom, 1 / zoom
    frames[:, :, 2] = moved
    grid = F.affine_grid(frames, list(images.shape), align_corners=False)
    x = F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)
    return to_8bit(x ** rng.uniform(1, 1, 1, low=GAMMA[0], high=GAMMA[1]))

"""Photographs and drawn faces as one set of training images, so that a network copes with both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from magdr_core.components.batch import ATTRIBUTE, Batch
from magdr_core.components.protocols import Dataset, PairedSplit


class MixedFaces:
    """A dataset of drawn faces and photographs of one size.

    Args:
        share: of drawn faces.
    """

    def __init__(self, drawn: Dataset, photos: Dataset, share: float) -> None:
        self.size = photos.size
        self.drawn, self.photos, self.share = drawn, photos, share

    def split(self, name: str) -> MixedSplit:
        splits = [dataset.split(name) for dataset in (self.drawn, self.photos)]
        drawn, photos = (split for split in splits if isinstance(split, PairedSplit))
        return MixedSplit(drawn, photos, self.share)

    def fingerprint(self) -> str:
        """Names both, and the share."""
        return f"{self.photos.fingerprint()} and {self.share:g} of {self.drawn.fingerprint()}"


class MixedSplit:
    """Two splits in turn; an index is a picture for ever.

    Of what is known of pictures, what both splits tell is kept, and every attribute that one of them tells;
    on pictures of the other one it counts as 0.

    Args:
        drawn, photos: the splits.
        share: of drawn faces, from 0 to 1, in every stretch of indices as near as whole pictures allow.
    """

    def __init__(self, drawn: PairedSplit, photos: PairedSplit, share: float) -> None:
        self._splits = (drawn, photos)
        self._share = share

    def __len__(self) -> int:
        drawn, photos = (len(split) for split in self._splits)
        by_drawn = drawn / self._share if self._share > 0 else float("inf")
        by_photos = photos / (1 - self._share) if self._share < 1 else float("inf")
        return int(min(by_drawn, by_photos))

    def _placed(self, indices: Sequence[int]) -> tuple[list[list[int]], list[list[int]]]:
        """By split, the places in `indices` and the indices in the split."""
        places: list[list[int]] = [[], []]
        own: list[list[int]] = [[], []]
        for place, i in enumerate(indices):
            before, after = int(i * self._share), int((i + 1) * self._share)
            which = 0 if after > before else 1
            places[which].append(place)
            own[which].append(before if which == 0 else i - before)
        return places, own

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """The pictures with these indices, in their order."""
        places, own = self._placed(indices)
        found = [(at, s[rows]) for at, s, rows in zip(places, self._splits, own, strict=True) if rows]
        order = torch.tensor([place for at, _ in found for place in at]).argsort()
        batches = [batch for _, batch in found]
        known: dict[str, Tensor] = {}
        for name in dict.fromkeys(name for batch in batches for name in batch.annotations):
            parts = [batch.annotations.get(name) for batch in batches]
            if name.startswith(ATTRIBUTE):
                empty = (torch.zeros(len(b), device=b.images.device) for b in batches)
                parts = [e if part is None else part for e, part in zip(empty, parts, strict=True)]
            if name != "identities" and all(part is not None for part in parts):
                known[name] = torch.cat([part for part in parts if part is not None])
        ids = tuple(id for batch in batches for id in batch.ids)
        return Batch(torch.cat([batch.images for batch in batches]), ids, annotations=known)[order]

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """The same pictures with these attributes set, `[B,3,H,W]`, as each split does it."""
        places, own = self._placed(indices)
        results, order = [], []
        for at, split, rows in zip(places, self._splits, own, strict=True):
            if rows:
                results.append(split.edited(rows, {name: values[at] for name, values in changes.items()}))
                order += at
        return torch.cat(results)[torch.tensor(order).argsort()]

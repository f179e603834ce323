"""Pictures that are frames of clips: which belong together, and what is drawn for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import CLIPS, FRAMES, Batch
from magdr_core.components.protocols import Split
from magdr_core.errors import DataError
from magdr_core.forensics.pieces import batches


def has_clips(data: Any, split: str) -> bool:
    """Whether a (guarded) dataset says which clips a split's pictures are frames of."""
    return CLIPS in data.known_of(split)


def clips_of(data: Any, split: str, indices: range) -> dict[str, int] | None:
    """By id which clip each of a split's pictures is a frame of; None where the dataset does not say."""
    if not has_clips(data, split):
        return None
    clips: dict[str, int] = {}
    for batch in batches(data.split(split), indices, data.size):
        clips |= zip(batch.ids, batch.annotations[CLIPS].tolist(), strict=True)
    return clips


def check_whole(data: Any, split: str, indices: range) -> None:
    """Raises DataError if a clip has some of its frames among these pictures of a split, and others beside
    them."""
    rows = data.split(split)
    for inside, outside in ((indices[0], indices[0] - 1), (indices[-1], indices[-1] + 1)):
        if 0 <= outside < len(rows):
            one, other = rows[sorted((inside, outside))].annotations[CLIPS].tolist()
            if one == other:
                raise DataError(
                    f"pictures {indices[0]} to {indices[-1]} of the split {split!r} begin or end amid a "
                    "clip, and a quality is given whole ones: take a multiple of their frames"
                )


def drawn_by(batch: Batch) -> tuple[str, ...]:
    """What the random draws for pictures are named by: their own ids; of frames their clips."""
    return batch.ids if batch.clips is None else tuple(f"clip-{number}" for number in batch.clips.tolist())


def one_by_one(f: Any, images: Tensor, clips: Tensor) -> Tensor:
    """`f` of each clip's frames, `[n,3,H,W]` in their order -> same.

    Args:
        images: `[B,3,H,W]`.
        clips: which clip each is a frame of, `[B]`.
    """
    made = torch.empty_like(images)
    for clip in clips.unique():
        rows = (clips == clip).nonzero()[:, 0].to(images.device)
        made[rows] = f(images[rows])
    return made


def going_along(split: Split, chosen: Sequence[int], donors: Batch, batch: Batch) -> Batch:
    """Of the donors' clips the frames that come when those of the batch do. Where a clip is over by then, and
    where nobody counts frames, the chosen one.

    Args:
        chosen: rows of the split, of which `donors` are the pictures.
    """
    if donors.clips is None or any(FRAMES not in one.annotations for one in (donors, batch)):
        return donors
    now = batch.annotations[FRAMES].cpu()
    rows = torch.tensor(chosen) - donors.annotations[FRAMES].cpu() + now
    there = split[rows.clamp(0, len(split) - 1).tolist()]
    fits = (there.annotations[CLIPS] == donors.clips).cpu() & (there.annotations[FRAMES].cpu() == now)
    return there if bool(fits.all()) else split[torch.where(fits, rows, torch.tensor(chosen)).tolist()]

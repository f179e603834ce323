"""Pictures of a split, and functions of pictures, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from magdr_core.components.batch import Batch
from magdr_core.components.protocols import Split
from magdr_core.functional import batch_size


def batches(split: Split, indices: Sequence[int], side: int) -> Iterator[Batch]:
    """The pictures with these indices, some at a time.

    Args:
        side: of a picture, in pixels.
    """
    together = batch_size((side, side), "draw")
    for start in range(0, len(indices), together):
        yield split[list(indices[start : start + together])]


def in_parts(f: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`f` of pictures `[n,3,H,W]`, as many at a time as fit; its results one after the other, `[n, ...]`."""
    together = batch_size(images.shape, "output", images.device)
    return torch.cat([f(part) for part in images.split(together)])

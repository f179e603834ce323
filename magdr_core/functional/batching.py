"""How many images go together, and running a network over a batch: the same bits for an image in any batch,
in the memory that there is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Work = Literal[
    "draw", "output", "compare", "learn", "test", "calibrate", "defend", "search", "candidates", "deliver"
]


@dataclass(frozen=True)
class Load:
    """What a kind of work asks for.

    Attributes:
        images: that go together, at most; no more are any faster.
        planes: float32 numbers that are held for each pixel of an image while it is worked on, with networks
            as wide as the published ones. For StarGAN's a pass holds 4 x 64 of them, a pass with its
            gradient about 2,000, and a detector's nine passes with what they are measured by about 4,000.
    """

    images: int
    planes: int


LOADS: Mapping[Work, Load] = {
    "draw": Load(64, 128),
    "output": Load(64, 256),
    "compare": Load(16, 256),
    "learn": Load(16, 4096),
    "test": Load(16, 4096),
    "calibrate": Load(32, 4096),
    "defend": Load(32, 4096),
    "search": Load(8, 8192),
    "candidates": Load(64, 1024),
    "deliver": Load(16, 4096),
}
"""`draw`: faces of a dataset, with conditions. `output`: one pass of a network. `compare`: measures of image
quality. `learn`: what a detector or defense looks at while it is fitted. `test`: what a benchmark does to
its images. `calibrate`: attacks and scores of calibration faces. `defend`: a whole detection and
reconstruction. `search`: images whose candidates are chosen together. `candidates`: candidates that are
judged together. `deliver`: faces of photos and clips."""

SMALL = 64 * 64
"""Pixels of an image up to which the memory is not asked: there `images` of it go together anywhere."""

SHARE = 8
"""One part in so many of the memory is planned with: several workers may have one device, and its memory
also holds the networks and what is kept of other images."""


def batch_size(image: Sequence[int], work: Work, device: torch.device | str = "cpu") -> int:
    """How many images go together.

    The memory is all that the device has, not what is free at the moment: the same run takes the same
    batches again.

    Args:
        image: a shape that ends in the image's height and width, `(..., H, W)`.
        work: what is done with them, a key of `LOADS`.
        device: where.

    Returns:
        At least 1. Up to 64 x 64 pixels `LOADS[work].images`; of larger images fewer, as far as the memory
        does not hold so many: but never fewer than take as much as that many of 64 x 64 do.

    >>> batch_size((16, 3, 64, 64), "test")
    16
    """
    load = LOADS[work]
    pixels = max(1, image[-2] * image[-1])
    planned = memory_of(torch.device(device)) // SHARE
    fitting = max(planned // (4 * load.planes * pixels), load.images * SMALL // pixels)
    return max(1, min(load.images, fitting))


def memory_of(device: torch.device) -> int:
    """Bytes of memory of a device: a card's own, else what this process may have of the machine's."""
    if device.type == "cuda" and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(device).total_memory)
    return _host_memory()


LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's limit stands, by the two versions of control groups."""

UNKNOWN = 2**32
"""Assumed where a system does not say how much memory it has."""


@cache
def _host_memory() -> int:
    try:
        known = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        known = UNKNOWN
    return min([known, *(limit for file in LIMITS if (limit := _limit(file)))])


def _limit(file: Path) -> int:
    """A limit in bytes; 0 where there is none."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() else 0


def in_pieces(f: Callable[[slice | list[int]], Tensor], x: Tensor, largest: int = 8) -> Tensor:
    """`f` over parts of the batch: pieces of 8, 4 or 2 on a CPU, the whole batch elsewhere.

    An image that is left over goes in twice: torch convolves a small batch of one with other kernels than
    any larger batch, which gives other bits. So does a 1x1 convolution from 16 images up; on a CPU larger
    pieces are no faster anyway.

    Args:
        f: from the indices of some images to their results, `[n, ...]`.
        x: the batch; its first dimension and its device are looked at.
        largest: images in a piece, a power of two.
    """
    n = x.shape[0]
    if x.device.type != "cpu" or n == 0:
        return _halving(f, 0, n)
    pieces, start = [], 0
    while start < n - 1:
        size = largest
        while size > n - start:
            size //= 2
        pieces.append(f(slice(start, start + size)))
        start += size
    if start < n:
        pieces.append(f([start, start])[:1])
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _halving(f: Callable[[slice | list[int]], Tensor], start: int, stop: int) -> Tensor:
    """All at once, or in halves where the device's memory does not hold that.

    With gradients halves would be no help, since the graph of the first one stays.
    """
    try:
        return f(slice(start, stop))
    except torch.OutOfMemoryError:
        if stop - start < 2 or torch.is_grad_enabled():
            raise
    torch.cuda.empty_cache()
    middle = (start + stop) // 2
    return torch.cat([_halving(f, start, middle), _halving(f, middle, stop)])


def by_row(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer of each row by itself, `[B,I]` -> `[B,O]`.

    A product of matrices would round a row otherwise in another batch.
    """
    rows = [F.linear(row, linear.weight, linear.bias) for row in x]
    return torch.stack(rows) if rows else x.new_zeros(0, linear.out_features)

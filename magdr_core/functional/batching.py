"""Running a network over a batch: the same bits for an image in any batch, in the memory that there is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


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

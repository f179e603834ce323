"""Filters and measures in parts that stay in a CPU's cache.

A stencil over a batch reads and writes the whole batch once per tap. Where that does not fit in the cache,
memory is what it waits for: the same work in parts of one to four images takes a half to an eighth of the
time (docs/speed.md), and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

PIXELS = 2**14
"""Of a part: four images of 64 by 64, or one of 128 by 128. A dozen float32 planes of it are a typical L2."""

F = TypeVar("F", bound=Callable[..., Tensor])


def in_cache(function: F) -> F:
    """Run a function of a batch, without gradients and on a CPU, over a few images at a time.

    Args:
        function: `f(x, ...) -> [B, ...]` with `x` `[B,C,H,W]`. Every further tensor argument of four
            dimensions has B rows as well, and an image's result does not depend on the others.
    """

    @wraps(function)
    def in_parts(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        size = _part(x)
        tensors = [x, *args, *kwargs.values()] if size else []
        if not size or any(_has_gradient(t) for t in tensors):
            return function(x, *args, **kwargs)

        def rows(value: Any, start: int) -> Any:
            return value[start : start + size] if isinstance(value, Tensor) and value.ndim == 4 else value

        return torch.cat(
            [
                function(
                    *(rows(a, start) for a in (x, *args)), **{k: rows(v, start) for k, v in kwargs.items()}
                )
                for start in range(0, len(x), size)
            ]
        )

    return in_parts  # type: ignore[return-value]


def _part(x: Tensor) -> int:
    """How many images go together; 0 for all."""
    if x.ndim != 4 or x.device.type != "cpu" or not x.shape[2] * x.shape[3]:
        return 0
    size = max(1, PIXELS // (x.shape[2] * x.shape[3]))
    return size if size < len(x) else 0


def _has_gradient(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled()

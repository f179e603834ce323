"""Tables of numbers on a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def constant(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor on a device, without a wait for what the device has still to do.

    `torch.tensor(values, device=device)` gives the same and waits on CUDA: a copy that blocks.

    Args:
        values: a number, which gives a tensor without dimensions, or nested sequences of numbers: n of m give
            `[n,m]`.
        device: where the tensor is wanted.
        dtype: as in `torch.tensor`.
    """
    # The host's memory is not pinned, so the driver has copied it elsewhere before this returns: it may go.
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)

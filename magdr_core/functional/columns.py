"""Convolutions with wide filters and few outputs, on a CPU.

torch's CPU convolutions compute 16 outputs at a time, so that an image's three channels cost as much as
sixteen. Here each column of the filters is an output of its own (7 columns of 3 outputs: 21), and the results
of the columns are added where they belong.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import check_images


def column_filters(weight: Tensor) -> Tensor:
    """Filters `[K,C,h,w]` as :func:`conv_by_columns` takes them, `[K*w,C,h,1]`.

    Raises:
        ValueError: not four dimensions.
    """
    if weight.ndim != 4:
        raise ValueError(f"weight must be [K,C,h,w], got shape {tuple(weight.shape)}")
    return weight.detach().permute(0, 3, 1, 2).flatten(0, 1).unsqueeze(3).contiguous()


def conv_by_columns(x: Tensor, filters: Tensor, width: int) -> Tensor:
    """`conv2d(x, weight)`, neither padded nor with a bias; equal up to rounding.

    Args:
        x: `[B,C,H,W]`.
        filters: `column_filters(weight)`.
        width: of the filters.

    Returns:
        `[B,K,H-h+1,W-w+1]`.

    Raises:
        ValueError: wrong shape.
    """
    check_images(x, channels=filters.shape[1])
    columns = F.conv2d(x, filters).unflatten(1, (-1, width))
    across = x.shape[3] - width + 1
    total = columns[:, :, 0, :, :across]
    for j in range(1, width):
        total = total + columns[:, :, j, :, j : j + across]
    return total

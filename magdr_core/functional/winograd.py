"""3x3 convolutions with a quarter of the multiplications, on a CPU.

torch's CPU convolutions multiply every weight with every pixel. Winograd's F(4x4, 3x3) makes 16 outputs of
36 products instead of 144, which large matrix products then sum over the channels. cuDNN chooses such
algorithms by itself.

Source: Lavin and Gray, CVPR 2016 (arXiv 1509.09308), section 4.3.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import check_images
from magdr_core.functional.constants import constant

TILE = 4
"""Side of a tile of outputs; sides of images must be multiples of it."""

_WINDOW = TILE + 2

# The matrices B^T, G and A^T of F(4, 3): a signal of 6, a filter of 3, an output of 4.
_SIGNAL = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def winograd_filters(weight: Tensor) -> Tensor:
    """3x3 filters `[K,C,3,3]` as :func:`winograd_conv3x3` takes them, `[36,K,C]` float32.

    Raises:
        ValueError: not 3x3.
    """
    if weight.ndim != 4 or weight.shape[2:] != (3, 3):
        raise ValueError(f"weight must be [K,C,3,3], got shape {tuple(weight.shape)}")
    g = constant(_FILTER, weight.device, torch.float64)
    u = torch.einsum("ia,kcab,jb->ijkc", g, weight.detach().double(), g)
    return u.reshape(_WINDOW**2, *weight.shape[:2]).float().contiguous()


def winograd_conv3x3(x: Tensor, filters: Tensor, back: Tensor) -> Tensor:
    """`conv2d(x, weight, padding=1)` without a bias. Differentiable in `x` alone.

    It agrees with the direct sum within about 1e-4 of the largest output; the direct sum itself has float32
    errors of about 1e-6 of it.

    Args:
        x: `[B,C,H,W]` float32, sides multiples of 4.
        filters: `winograd_filters(weight)`.
        back: of the transposed convolution, `winograd_filters(weight.transpose(0, 1).flip(2, 3))`; read by
            the backward pass only.

    Returns:
        `[B,K,H,W]`.

    Raises:
        ValueError: wrong shape.
    """
    check_images(x, channels=filters.shape[2])
    if x.shape[2] % TILE or x.shape[3] % TILE:
        raise ValueError(f"sides must be multiples of {TILE}, got {tuple(x.shape[2:])}")
    result: Tensor = _conv3x3(x, filters, back)
    return result


# An operator of torch, so that torch.compile fuses what is around it and leaves it as it is: traced, it was
# slower than the plain convolution.
@torch.library.custom_op("magdr::winograd_conv3x3", mutates_args=())
def _conv3x3(x: Tensor, filters: Tensor, back: Tensor) -> Tensor:
    return _convolve(x, filters)


@_conv3x3.register_fake
def _shape(x: Tensor, filters: Tensor, back: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], filters.shape[1], *x.shape[2:])


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1], inputs[2])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    filters, back = ctx.saved_tensors
    # The gradient is the transposed convolution, whose own is the convolution.
    return _conv3x3(gradient, back, filters), None, None


_conv3x3.register_autograd(_backward, setup_context=_remember)


def _convolve(x: Tensor, filters: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    down, across = height // TILE, width // TILE
    one_way = (constant(m, x.device, x.dtype) for m in (_SIGNAL, _OUTPUT))
    signal, output = (torch.kron(m, m) for m in one_way)
    padded = F.pad(x.transpose(0, 1), (1, 1, 1, 1))
    windows = x.new_empty(_WINDOW, _WINDOW, channels, batch, down, across)
    for i in range(_WINDOW):
        rows = padded[:, :, i : i + TILE * (down - 1) + 1 : TILE]
        for j in range(_WINDOW):
            windows[i, j] = rows[..., j : j + TILE * (across - 1) + 1 : TILE]
    # Both transforms are one large product each: a matrix for windows that are laid out as columns.
    v = (signal @ windows.view(_WINDOW**2, -1)).view(_WINDOW**2, channels, -1)
    m = torch.bmm(filters, v)
    tiles = (output @ m.view(_WINDOW**2, -1)).view(TILE, TILE, -1, batch, down, across)
    return tiles.permute(3, 2, 4, 0, 5, 1).reshape(batch, -1, height, width)

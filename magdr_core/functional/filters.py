"""Simple filters of a batch of images: Gaussian, median, sharpening, fewer grey levels.

Borders are mirrored (`c b a | a b c`, SciPy's `reflect`) everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional._common import (
    check_images,
    check_positive,
    clamp_fuzz,
    filter_separable,
    gaussian_taps,
    symmetric_pad,
)
from magdr_core.functional.cache_blocked import in_cache
from magdr_core.functional.eightbit import clamp_inclusive


def gaussian_blur(x: Tensor, sigma: float, *, truncate: float = 4.0) -> Tensor:
    """Gaussian blur, as `scipy.ndimage.gaussian_filter` on every channel. Differentiable.

    Args:
        x: `[B,C,H,W]` in [0,1].
        sigma: standard deviation in pixels, > 0.
        truncate: the kernel ends at `int(truncate * sigma + .5)` pixels. An 11x11 kernel of sigma 1.5 is
            `truncate=3.5`.

    Returns:
        `[B,C,H,W]` in [0,1].

    Raises:
        ValueError: wrong shape, or a parameter that is not positive.
    """
    check_images(x)
    check_positive(sigma, "sigma")
    check_positive(truncate, "truncate")
    return clamp_fuzz(filter_separable(x, gaussian_taps(sigma, int(truncate * sigma + 0.5))))


def _median3(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))


def _median_3x3(padded: Tensor) -> Tensor:
    # The median of 9 is the median of: the largest of the columns' minima, the median of their medians, the
    # smallest of their maxima. The sorted columns are shared by three neighbours.
    top, middle, bottom = padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :]
    low = torch.minimum(torch.minimum(top, middle), bottom)
    high = torch.maximum(torch.maximum(top, middle), bottom)
    centre = _median3(top, middle, bottom)

    def three(columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return columns[..., :-2], columns[..., 1:-1], columns[..., 2:]

    a, b, c = three(low)
    largest_low = torch.maximum(torch.maximum(a, b), c)
    a, b, c = three(high)
    smallest_high = torch.minimum(torch.minimum(a, b), c)
    return _median3(largest_low, _median3(*three(centre)), smallest_high)


def _median_of(values: list[Tensor]) -> Tensor:
    """Elementwise median of an odd number of tensors, several times faster than torch's own on a CPU.

    Of n // 2 + 2 values the smallest and the largest cannot be the median of all n: drop both, take in the
    next value, and again. (Keeps many temporaries for autograd, so it is for use without gradients.)
    """
    rest = values[len(values) // 2 + 2 :]
    kept = values[: len(values) // 2 + 2]
    while len(kept) > 1:
        smallest, others = kept[0], []
        for value in kept[1:]:
            others.append(torch.maximum(smallest, value))
            smallest = torch.minimum(smallest, value)
        largest, kept = others[0], []
        for value in others[1:]:
            kept.append(torch.minimum(largest, value))
            largest = torch.maximum(largest, value)
        if rest:
            kept.append(rest.pop(0))
    return kept[0]


@in_cache
def median_blur(x: Tensor, kernel: int) -> Tensor:
    """Median of every channel's neighbourhood, as `scipy.ndimage.median_filter(size=kernel)`.

    An even kernel (2 is common in feature squeezing) reaches one pixel further up and left, and takes the
    upper of the two middle values. Differentiable almost everywhere (the gradient goes to the chosen pixel).

    Args:
        x: `[B,C,H,W]`.
        kernel: side of the neighbourhood, >= 1; 3 is fast.

    Returns:
        `[B,C,H,W]`, values of the input.

    Raises:
        ValueError: wrong shape or kernel.
    """
    check_images(x)
    if kernel != int(kernel) or kernel < 1:
        raise ValueError(f"kernel must be a positive integer, got {kernel}")
    before = kernel // 2
    after = kernel - 1 - before
    padded = symmetric_pad(x, before, after, before, after)
    if kernel == 3:
        return _median_3x3(padded)
    height, width = x.shape[-2:]
    taps = [padded[..., i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
    if kernel % 2 == 0 or (x.requires_grad and torch.is_grad_enabled()):
        return torch.stack(taps, -1).kthvalue(kernel * kernel // 2 + 1, dim=-1).values
    return _median_of(taps)


def unsharp(x: Tensor, radius: float, amount: float) -> Tensor:
    """Sharpen: add `amount` times what a Gaussian blur removes, as scikit-image's `unsharp_mask`.

    Args:
        x: `[B,C,H,W]` in [0,1].
        radius: the blur's sigma in pixels, > 0.
        amount: 0 changes nothing.

    Returns:
        `[B,C,H,W]`, clamped to [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape or radius.
    """
    return clamp_inclusive(x + amount * (x - gaussian_blur(x, radius)))


def bit_depth(x: Tensor, bits: int) -> Tensor:
    """Round to 2^bits grey levels per channel (feature squeezing, Xu et al., NDSS 2018).

    Args:
        x: `[B,C,H,W]` in [0,1].
        bits: 1..8.

    Returns:
        `[B,C,H,W]` in [0,1]. The gradient is zero; `straight_through(bit_depth(x, bits), x)` has one.

    Raises:
        ValueError: wrong shape or bits.
    """
    check_images(x)
    if bits != int(bits) or not 1 <= bits <= 8:
        raise ValueError(f"bits must be an integer from 1 to 8, got {bits}")
    levels = float(2**bits - 1)
    return torch.round(x.clamp(0.0, 1.0) * levels) / levels

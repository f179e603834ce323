"""Colour and tone: coarser chroma, and invertible changes of brightness and contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional._common import check_images
from magdr_core.functional.eightbit import clamp_inclusive, straight_through
from magdr_core.functional.filters import gaussian_blur

# ITU-R BT.601, as in JFIF: luma, and what turns blue and red less luma into chroma of the range +-1/2.
_LUMA = (0.299, 0.587, 0.114)
_CB, _CR = 0.5 / (1 - _LUMA[2]), 0.5 / (1 - _LUMA[0])


def luma(x: Tensor) -> Tensor:
    """Luma of BT.601, `[B,3,H,W] -> [B,1,H,W]` in [0,1]. Differentiable."""
    check_images(x, channels=3)
    red, green, blue = x.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(1)


def chroma_blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of the chroma alone; the eye hardly sees it, a perturbation's colours go.

    Args:
        x: `[B,3,H,W]` in [0,1].
        sigma: in pixels.

    Returns:
        `[B,3,H,W]`, clamped to [0,1] (the luma is kept up to that). Differentiable.

    Raises:
        ValueError: wrong shape, or a sigma that is not positive.
    """
    check_images(x, channels=3)
    smooth = gaussian_blur(x, sigma)
    # Everything is linear: blurring Cb and Cr is to blur the colours and to put the sharp luma back.
    return clamp_inclusive(smooth + (luma(x) - luma(smooth)))


def chroma_depth(x: Tensor, bits: int) -> Tensor:
    """Round the chroma (Cb, Cr of JFIF) to steps of 2^-bits; grey stays grey and the luma is kept.

    Args:
        x: `[B,3,H,W]` in [0,1].
        bits: 1..8.

    Returns:
        `[B,3,H,W]`, clamped to [0,1]. The rounding passes the gradient straight through.

    Raises:
        ValueError: wrong shape or bits.
    """
    check_images(x, channels=3)
    if bits != int(bits) or not 1 <= bits <= 8:
        raise ValueError(f"bits must be an integer from 1 to 8, got {bits}")
    y = luma(x).squeeze(1)
    steps = 2.0**bits

    def coarse(chroma: Tensor) -> Tensor:
        return straight_through(torch.round(chroma.detach() * steps) / steps, chroma)

    cb, cr = coarse((x[:, 2] - y) * _CB), coarse((x[:, 0] - y) * _CR)
    red, blue = y + cr / _CR, y + cb / _CB
    green = (y - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
    return clamp_inclusive(torch.stack([red, green, blue], 1))


def brighten(x: Tensor, amount: float) -> Tensor:
    """Lift (or lower) the middle tones along `x + amount x (1 - x)`; black and white stay.

    Unlike a power law its slope is finite everywhere, its inverse's too: see :func:`unbrighten`.

    Args:
        x: `[B,C,H,W]` in [0,1].
        amount: in (-1, 1).

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or an amount that cannot be inverted.
    """
    check_images(x)
    _check_amount(amount)
    return clamp_inclusive(x + amount * x * (1.0 - x))


def unbrighten(y: Tensor, amount: float) -> Tensor:
    """The inverse of :func:`brighten`, `[B,C,H,W]` in [0,1] -> same. Differentiable."""
    check_images(y, "y")
    _check_amount(amount)
    # The root of a x^2 - (1 + a) x + y = 0 in the form that is stable for any a, 0 included.
    root = ((1.0 + amount) ** 2 - 4.0 * amount * y).clamp_min(0.0).sqrt()
    return clamp_inclusive(2.0 * y / (1.0 + amount + root))


def fade(x: Tensor, amount: float) -> Tensor:
    """Less contrast: pull all values toward 1/2, `[B,C,H,W]` in [0,1] -> same. Differentiable.

    Args:
        amount: 0 (nothing) to less than 1.

    Raises:
        ValueError: wrong shape or amount.
    """
    check_images(x)
    _check_fade(amount)
    return x + amount * (0.5 - x)


def unfade(y: Tensor, amount: float) -> Tensor:
    """The inverse of :func:`fade`, `[B,C,H,W]` in [0,1] -> same; what no faded image can hold is clamped.
    Differentiable."""
    check_images(y, "y")
    _check_fade(amount)
    return clamp_inclusive((y - 0.5 * amount) / (1.0 - amount))


def _check_amount(amount: float) -> None:
    if not -1 < amount < 1:
        raise ValueError(f"amount must be between -1 and 1, got {amount}")


def _check_fade(amount: float) -> None:
    if not 0 <= amount < 1:
        raise ValueError(f"amount must be at least 0 and less than 1, got {amount}")

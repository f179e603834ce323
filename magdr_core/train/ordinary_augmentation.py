"""The ordinary augmentation of forensic training: compression, noise, colours, geometry, each now and then.

The arm that every adversary has to beat. Chances and ranges are those of the published training of the
adversarial game.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.rng import SampleRng
from magdr_core.functional import jpeg, luma

QUALITIES = (60, 70, 80, 90, 100)
"""JPEG qualities, equally likely."""

COMPRESSED, NOISY, RECOLOURED, GREY, MOVED = 0.5, 0.1, 0.7, 0.2, 0.5
"""How often each happens."""

NOISE = 10 / 255
"""Largest standard deviation of the noise."""

BRIGHTER, CONTRAST, SATURATION = 0.2, 0.2, 0.3
"""Largest changes of colour; each recoloured picture gets the first two or the third."""

SHIFT, SCALE, TURN = 0.1, 0.2, math.radians(10)
"""Largest changes of place, in shares of the side, of size and of angle."""


def augmented(x: Tensor, rng: SampleRng, *, moving: bool = True) -> Tensor:
    """Pictures as they come off a phone and out of a chat, `[B,3,H,W]` in [0,1] -> same.

    Args:
        rng: a stream for each picture: real and fake of a scene are changed independently.
        moving: shift, scale and turn, too; not where masks must stay true.
    """
    chances = rng.uniform(5)
    if moving:
        x = _some(chances[:, 0] < MOVED, _moved, x, rng.fork(0))
    x = _some(chances[:, 1] < RECOLOURED, _recoloured, x, rng.fork(1))
    x = _some(chances[:, 2] < GREY, _grey, x, rng.fork(2))
    x = _some(chances[:, 3] < NOISY, _noisy, x, rng.fork(3))
    quality = rng.integers(high=len(QUALITIES))
    for k, level in enumerate(QUALITIES):
        chosen = (chances[:, 4] < COMPRESSED) & (quality == k)
        x = _some(chosen, partial(_compressed, level=level), x, rng)
    return x


def _some(chosen: Tensor, change: Callable[[Tensor, SampleRng], Tensor], x: Tensor, rng: SampleRng) -> Tensor:
    """`x` `[B,3,H,W]` with the chosen pictures, `[B]`, changed; nothing is drawn or computed for the rest."""
    rows = chosen.nonzero()[:, 0]
    return x.index_copy(0, rows, change(x[rows], rng.select(rows))) if len(rows) else x


def _grey(x: Tensor, rng: SampleRng) -> Tensor:
    return luma(x).expand_as(x)


def _noisy(x: Tensor, rng: SampleRng) -> Tensor:
    return (x + rng.uniform(1, 1, 1, high=NOISE) * rng.normal(*x.shape[1:])).clamp(0, 1)


def _compressed(x: Tensor, rng: SampleRng, level: int) -> Tensor:
    return jpeg(x, level)


def _recoloured(x: Tensor, rng: SampleRng) -> Tensor:
    """Brightness and contrast, or saturation."""
    lift, gain = (rng.uniform(1, 1, 1, low=-most, high=most) for most in (BRIGHTER, CONTRAST))
    saturation = 1 + rng.uniform(1, 1, 1, low=-SATURATION, high=SATURATION)
    tone = (0.5 + (1 + gain) * (x - 0.5) + lift).clamp(0, 1)
    grey = luma(x)
    vivid = (grey + saturation * (x - grey)).clamp(0, 1)
    return torch.where((rng.uniform() < 0.5)[:, None, None, None], tone, vivid)


def _moved(x: Tensor, rng: SampleRng) -> Tensor:
    """Shifted, scaled and turned about the middle; borders are mirrored."""
    shift = rng.uniform(2, low=-2 * SHIFT, high=2 * SHIFT)  # the grid's side is 2
    scale = 1 + rng.uniform(low=-SCALE, high=SCALE)
    turn = rng.uniform(low=-TURN, high=TURN)
    cosine, sine = turn.cos() / scale, turn.sin() / scale
    rows = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    grid = F.affine_grid(torch.cat([rows, shift[:, :, None]], 2), list(x.shape), align_corners=False)
    moved = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    return moved.clamp(0, 1)

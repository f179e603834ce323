"""The ordinary augmentation of forensic training: compression, noise, colours, geometry, each now and then.

The arm that every adversary has to beat. Chances and ranges are those of the published training of the
adversarial game.
"""

from __future__ import annotations

import math

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


def augmented(x: Tensor, rng: SampleRng) -> Tensor:
    """Pictures as they come off a phone and out of a chat, `[B,3,H,W]` in [0,1] -> same.

    Args:
        rng: a stream for each picture: real and fake of a scene are changed independently.
    """
    chances = rng.uniform(5)
    x = torch.where(_each(chances[:, 0] < MOVED), _moved(x, rng), x)
    x = torch.where(_each(chances[:, 1] < RECOLOURED), _recoloured(x, rng), x)
    x = torch.where(_each(chances[:, 2] < GREY), luma(x).expand_as(x), x)
    sigma = rng.uniform(1, 1, 1, high=NOISE)
    x = torch.where(_each(chances[:, 3] < NOISY), x + sigma * rng.normal(*x.shape[1:]), x).clamp(0, 1)
    return _compressed(x, chances[:, 4] < COMPRESSED, rng.integers(high=len(QUALITIES)))


def _each(chosen: Tensor) -> Tensor:
    return chosen[:, None, None, None]


def _compressed(x: Tensor, chosen: Tensor, quality: Tensor) -> Tensor:
    y = x.clone()
    for k, level in enumerate(QUALITIES):
        rows = (chosen & (quality == k)).nonzero()[:, 0]
        if len(rows):
            y[rows] = jpeg(x[rows], level)
    return y


def _recoloured(x: Tensor, rng: SampleRng) -> Tensor:
    """Brightness and contrast, or saturation."""
    lift, gain = (rng.uniform(1, 1, 1, low=-most, high=most) for most in (BRIGHTER, CONTRAST))
    saturation = 1 + rng.uniform(1, 1, 1, low=-SATURATION, high=SATURATION)
    tone = (0.5 + (1 + gain) * (x - 0.5) + lift).clamp(0, 1)
    grey = luma(x)
    vivid = (grey + saturation * (x - grey)).clamp(0, 1)
    return torch.where(_each(rng.uniform() < 0.5), tone, vivid)


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

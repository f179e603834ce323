"""The lowest cosines of blocks of 8 x 8 pixels, as FaceShield keeps them (Jeong et al., ICCV 2025)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.functional import constant

SIDE = 8
KEPT = (6, 5, 5, 4, 3, 2, 0, 0)
"""Of each row of an 8 x 8 block's cosines so many, from the lowest on: 25 of 64."""


def lowpass(delta: Tensor) -> Tensor:
    """Perturbations without the higher cosines of each block, `[B,C,H,W] -> same`. What lacks to whole blocks
    is taken for zero."""
    height, width = delta.shape[-2:]
    padded = F.pad(delta, (0, -width % SIDE, 0, -height % SIDE))
    batch, channels, high, wide = padded.shape
    blocks = padded.reshape(-1, high // SIDE, SIDE, wide // SIDE, SIDE).transpose(2, 3).flatten(3)
    # One product an image and channel, so that an image alone has the same bits.
    flat = blocks.flatten(1, 2)
    kept = torch.bmm(flat, _projection(delta.device).expand(len(flat), -1, -1)).reshape(blocks.shape)
    whole = kept.unflatten(3, (SIDE, SIDE)).transpose(2, 3).reshape(batch, channels, high, wide)
    return whole[..., :height, :width]


def _projection(device: torch.device) -> Tensor:
    """`[64,64]`, symmetric: onto the kept cosines of a flattened block."""
    cosines = torch.tensor(
        [
            [
                math.sqrt((2 if u else 1) / SIDE) * math.cos(math.pi * (2 * i + 1) * u / (2 * SIDE))
                for i in range(SIDE)
            ]
            for u in range(SIDE)
        ],
        dtype=torch.float64,
    )
    both = torch.kron(cosines, cosines)  # row 8 u + v: the cosine u down, v across
    kept = [u * SIDE + v for u, count in enumerate(KEPT) for v in range(count)]
    basis = both[kept]
    return constant((basis.T @ basis).float().tolist(), device)

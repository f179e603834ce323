"""Recovering masked parts of a face by a masked auto-encoder, the form that Delocate describes.

He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377): an encoder that
attends to visible patches alone, and a small decoder that is given a learned token for each masked one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.recovery import LOG_VARIANCE
from ._recovery import Parser, Recovery, patch_side

DEPTH, DECODER_DEPTH = 4, 2
"""Blocks of the encoder and of the decoder."""

TOKEN = 8
"""Side of a patch, in pixels of whatever the picture was resized to for 8 of them to be a masked patch."""


class Block(nn.Module):
    """Attention and a network of two layers, each behind a norm and added to what it was given."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, y: Tensor, attended: Tensor | None = None) -> Tensor:
        """`[B,N,width]` -> same; `attended`, bool `[B,1,1,N]`: which tokens are looked at, all if None."""
        q, k, v = self.qkv(self.first(y)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=attended)
        y = y + self.out(seen.transpose(1, 2).flatten(2))
        return y + self.mlp(self.second(y))


class RecoveryTransformer(Recovery):
    """A masked auto-encoder of patches; a patch with any masked pixel is not looked at.

    Args:
        width: numbers in a token, a multiple of 16.
        parser: as of :class:`Recovery`.
    """

    def __init__(self, *, width: int = 64, parser: Parser | None = None) -> None:
        super().__init__(parser=parser)
        self.embed = nn.Linear(3 * TOKEN**2, width)
        self.hidden = nn.Parameter(torch.zeros(width))
        heads = width // 16
        self.encoder = nn.ModuleList(Block(width, heads) for _ in range(DEPTH))
        self.decoder = nn.ModuleList(Block(width, heads) for _ in range(DECODER_DEPTH))
        self.norm, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * TOKEN**2)
        self.spread = nn.Linear(width, TOKEN**2)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        height, width = x.shape[2:]
        side = patch_side(x)
        rows, columns = (math.ceil(n / side) for n in (height, width))
        # Each masked patch becomes a token of a fixed side, whatever the size of the picture.
        seen = (2 * x - 1) * (1 - mask)
        padded = F.pad(seen, (0, columns * side - width, 0, rows * side - height), mode="replicate")
        covered = F.pad(mask, (0, columns * side - width, 0, rows * side - height))
        if side != TOKEN:
            padded = F.interpolate(padded, (rows * TOKEN, columns * TOKEN), mode="bilinear", antialias=True)
        patches = F.pixel_unshuffle(padded, TOKEN).flatten(2).transpose(1, 2)
        masked = F.max_pool2d(covered, side).flatten(1) > 0
        place = positions(rows, columns, self.hidden)
        # Some token has to be looked at, or attention would divide by nothing.
        attended = ~masked | masked.all(1, keepdim=True)
        shown = torch.where(masked[..., None], 0.0, patches)
        y = self.embed(shown) + place
        for block in self.encoder:
            y = block(y, attended[:, None, None])
        y = torch.where(masked[..., None], self.hidden, self.norm(y)) + place
        for block in self.decoder:
            y = block(y)
        y = self.last(y)
        # What is recovered shall not be what is easily foretold: the spread only watches.
        made, spread = self.head(y), self.spread(y.detach())
        pictures = [
            F.pixel_shuffle(one.transpose(1, 2).unflatten(2, (rows, columns)), TOKEN)
            for one in (made, spread)
        ]
        if side != TOKEN:
            full = (rows * side, columns * side)
            pictures = [F.interpolate(one, full, mode="bilinear", align_corners=False) for one in pictures]
        made, spread = (one[..., :height, :width] for one in pictures)
        return (made + 1) / 2, spread.clamp(*LOG_VARIANCE)


def positions(rows: int, columns: int, like: Tensor) -> Tensor:
    """Where patches are: sines and cosines of row and column, `[rows * columns, width]`."""
    width = len(like)
    rates = 1e-2 ** (torch.arange(width // 4, device=like.device, dtype=like.dtype) / (width // 4))
    at = torch.cartesian_prod(
        torch.arange(rows, device=like.device), torch.arange(columns, device=like.device)
    ).to(like.dtype)
    angles = (at[:, :, None] * rates).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], 1)

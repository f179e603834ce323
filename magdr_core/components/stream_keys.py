"""Keys of random streams from what images and conditions hold.

Computed with integer operations on the device, so that nothing waits for it and the batch does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.components.rng import SampleRng

_ODD = 0x9E3779B97F4A7C15 - 2**64
"""2^64 over the golden ratio, as a signed 64-bit number: neighbouring places get unlike factors."""


def content_keys(stream: str, *parts: Tensor | None) -> Tensor:
    """`[B,2]` int64 keys, a function of the stream's name and of each row of the parts
    (`[B, ...]`; None counts).

    Rows that differ in one bit get other keys; 0 and -0 are the same.
    """
    rows = next(p for p in parts if p is not None)
    total = SampleRng(0, stream, ["row"], device=rows.device).bits(2).repeat(len(rows), 1)
    for number, part in enumerate(parts, 1):
        total = _mixed(total + number)
        if part is not None and part.numel():
            total = total + _sums(part)
    return _mixed(total) & 0xFFFFFFFF


def _sums(part: Tensor) -> Tensor:
    """`[B,2]`: two sums of the row's bits, each bit pattern times a factor of its place (mod 2^64)."""
    flat = part.detach().flatten(1)
    if flat.is_floating_point():
        bits = (flat.float() + 0.0).contiguous().view(torch.int32).to(torch.int64)
    else:
        bits = flat.to(torch.int64)
    place = torch.arange(1, flat.shape[1] + 1, dtype=torch.int64, device=flat.device)
    spread = _mixed(bits + place * _ODD)
    return torch.stack([spread.sum(1), (spread * (2 * place + 1)).sum(1)], 1)


def _mixed(h: Tensor) -> Tensor:
    """An avalanche over 64 bits; products wrap around."""
    h = (h ^ ((h >> 30) & 0x3FFFFFFFF)) * (0xBF58476D1CE4E5B9 - 2**64)
    h = (h ^ ((h >> 27) & 0x1FFFFFFFFF)) * (0x94D049BB133111EB - 2**64)
    return h ^ ((h >> 31) & 0x1FFFFFFFF)

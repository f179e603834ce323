"""Forgeries as sharp as what they replace.

Every generator, resampling and feather softens what is pasted, and softness alone tells most forgeries of an
easy benchmark. Here the fine detail inside the mask is scaled until its energy is the source's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import Batch, Forged, SampleRng
from magdr_core.functional import to_8bit

from ._blur import high_pass
from ._paste import Family

ROUNDS = 5
"""Scaling is done over: clamping and rounding take some of it away again."""

MOST = 8.0
"""Largest gain of a round."""


class SharpnessMatched:
    """Another forgery, whose detail inside the mask has the energy that the source's has.

    Args:
        family: forgery whose detail is matched.
    """

    def __init__(self, *, family: Family) -> None:
        self.family = family

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        forged = self.family(batch, donors, rng)
        return Forged(as_sharp(forged.images, batch.images, forged.masks), forged.masks, forged.alpha)

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """As the family's: they count as real, and are not made sharper."""
        return self.family.innocent(batch, rng)


def detail(x: Tensor, masks: Tensor) -> Tensor:
    """Energy of what a small blur takes out of `[B,3,H,W]`, a mean over the pixels of `[B,1,H,W]`: `[B]`."""
    energy = (high_pass(x).square().mean(1, keepdim=True) * masks).sum(-1).sum(-1)[:, 0]
    return energy / masks.sum(-1).sum(-1)[:, 0].clamp_min(1)


def as_sharp(images: Tensor, source: Tensor, masks: Tensor) -> Tensor:
    """`[B,3,H,W]` with detail inside the masks scaled to the source's energy -> same, 8-bit levels.

    Args:
        masks: `[B,1,H,W]` of 0/1; nothing changes outside.
    """
    wanted, y = detail(source, masks), images
    for _ in range(ROUNDS):
        gain = (wanted / detail(y, masks).clamp_min(1e-8)).sqrt().clamp(1 / MOST, MOST)
        y = (y + masks * (gain[:, None, None, None] - 1) * high_pass(y)).clamp(0, 1)
    return torch.where(masks > 0, to_8bit(y), images)

"""The one way in which forgeries get into a picture: pasted through a feathered region."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import Batch, Forged, SampleRng
from magdr_core.functional import to_8bit

from ._blur import blur_each

VISIBLE = 1.5 / 255
"""A pixel that some channel of changed by more than this is forged: one level may be rounding."""


class Family(Protocol):
    """One way of making forged pictures of the batch; a picture's result is the same in any batch."""

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Args: `donors`, as many other pictures; families that need none ignore them."""

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The same processing without a forgery: all masks are empty, and the pictures count as real."""


class Innocent:
    """A forgery's pipeline without its forgery: what it makes counts as real.

    Args:
        family: forgery whose pipeline is gone through without its forgery.
    """

    def __init__(self, *, family: Family) -> None:
        self.family = family

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored; masks are empty."""
        return self.family.innocent(batch, rng)


def feathered(region: Tensor, sigma: Tensor) -> Tensor:
    """A region with soft borders: `[B,1,H,W]` in [0,1] -> same.

    Args:
        sigma: `[B]`, of the Gaussian, in pixels of a picture of 64; larger pictures get wider borders.
    """
    return blur_each(region, sigma * region.shape[-1] / 64, widest=3 * region.shape[-1] / 64).clamp(0, 1)


def paste(source: Tensor, content: Tensor, alpha: Tensor, strength: Tensor | None = None) -> Forged:
    """Content in place of a picture's own pixels, as far as alpha says.

    Forged is a pixel with alpha above one half within a pixel of one that visibly changed; where a picture
    has none, the region as far as there is one, since a forgery is somewhere. Where alpha is 0 the source
    keeps its levels to the last bit.

    Args:
        source: `[B,3,H,W]`, 8-bit levels.
        content: `[B,3,H,W]`.
        alpha: `[B,1,H,W]` in [0,1].
        strength: `[B]` in [0,1], of the content where alpha is 1; 1 if None. It does not move the mask.
    """
    share = alpha if strength is None else alpha * strength[:, None, None, None]
    images = to_8bit(source + share * (content - source))
    region = alpha > alpha.amax((2, 3), keepdim=True).clamp_max(1) / 2
    return Forged(images, _first_not_empty((alpha > 0.5) * near_a_change(source, images), region), alpha)


def _first_not_empty(masks: Tensor, otherwise: Tensor) -> Tensor:
    """`[B,1,H,W]` of 0/1: the one, or the other of pictures where that is empty."""
    return torch.where(masks.amax((2, 3), keepdim=True) > 0, masks, otherwise.to(masks.dtype))


def near_a_change(source: Tensor, images: Tensor, least: float = VISIBLE) -> Tensor:
    """`[B,1,H,W]` of 0/1: the 3x3 neighbourhoods of visibly changed pixels of `[B,3,H,W]`.

    Args:
        least: change of some channel above which it is one.
    """
    changed = (images - source).abs().amax(1, keepdim=True) > least
    return F.max_pool2d(changed.to(images.dtype), 3, 1, 1)


def unforged(images: Tensor) -> Forged:
    """Pictures `[B,3,H,W]` that count as real: their masks are empty."""
    return Forged(images, torch.zeros_like(images[:, :1]), torch.ones_like(images[:, :1]))

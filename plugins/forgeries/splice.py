"""One part of another drawn face, pasted with a feather: a small forgery that fits badly but is soft."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, Field, Forged, ForgerySpec, SampleRng, hookimpl, stateless
from magdr_core.functional import gaussian_blur, masked_mean, merge_classes, part_index, to_8bit

MAGDR_API = 1

PARTS = (("brows", "eyes"), ("nose",), ("mouth",))
"""What may be pasted, besides an ellipse of skin."""

LEAST = 0.002
"""Share of a picture below which a part is not there: eyes behind sunglasses, a mouth behind a beard."""


def splice(
    batch: Batch,
    donors: Batch,
    rng: SampleRng,
    *,
    feather: Annotated[float, Field(ge=0, le=3)] = 0.6,
    match: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Forged:
    """A part of the donor's face, moved onto the source's and brought towards its colours.

    Eyes with brows, nose, mouth, or an ellipse of skin, each as often as the others; the ellipse where either
    face lacks the part. Images `[B,3,H,W]`, masks `[B,1,H,W]`.

    Args:
        feather: sigma of the mask's blur, in pixels.
        match: share of the difference in mean colour that is taken away.

    Raises:
        DataError: the dataset knows no masks.
    """
    if batch.masks is None or donors.masks is None:
        raise DataError("splice needs a dataset with exact masks")
    source, donor = merge_classes(batch.masks), merge_classes(donors.masks)
    there, theirs = _part(source, donor, rng)
    ys, xs = (_middle(theirs, dim) - _middle(there, dim) for dim in (2, 3))
    moved, mask = _moved(donors.images, ys, xs), _moved(theirs, ys, xs)
    alpha = gaussian_blur(mask, feather) if feather else mask
    alpha = torch.where(alpha < 1 / 255, torch.zeros_like(alpha), alpha)
    shift = match * (masked_mean_of(batch.images, mask) - masked_mean_of(moved, mask))
    x = batch.images
    blended = torch.where(alpha > 0, to_8bit(x + alpha * ((moved + shift).clamp(0, 1) - x)), x)
    return Forged(blended, (alpha > 0.5).to(x.dtype), alpha)


def masked_mean_of(x: Tensor, mask: Tensor) -> Tensor:
    """Mean colour inside a mask: `[B,3,H,W]`, `[B,1,H,W]` -> `[B,3,1,1]`."""
    return torch.cat([masked_mean(x[:, c : c + 1], mask) for c in range(3)], 1)[:, :, None, None]


def _part(source: Tensor, donor: Tensor, rng: SampleRng) -> tuple[Tensor, Tensor]:
    """The part of each picture, in the source and in the donor: `[B,1,H,W]` of 0 and 1 twice."""
    chosen = rng.integers(1, high=len(PARTS) + 1)[:, 0]
    ellipse = _ellipse(source, rng)
    there, theirs = ellipse, ellipse
    for number, names in enumerate(PARTS):
        rows = [part_index(name) for name in names]
        own, other = (masks[:, rows].sum(1, keepdim=True) > 0.5 for masks in (source, donor))
        shown = (own.float().mean((1, 2, 3)) > LEAST) & (other.float().mean((1, 2, 3)) > LEAST)
        taken = (shown & (chosen == number))[:, None, None, None]
        there = torch.where(taken, own.to(source), there)
        theirs = torch.where(taken, other.to(source), theirs)
    return there, theirs


def _ellipse(masks: Tensor, rng: SampleRng) -> Tensor:
    """A patch as large as a nose or a mouth, within the middle of the skin, `[B,1,H,W]` of 0 and 1."""
    height, width = masks.shape[2:]
    skin = masks[:, part_index("skin"), None]
    skin = torch.where(skin.sum((2, 3), keepdim=True) > 0, skin, torch.ones_like(skin))
    off = rng.uniform(2, low=-0.12, high=0.12)[:, :, None, None, None]
    axes = rng.uniform(2, low=0.08, high=0.16)[:, :, None, None, None]
    far = torch.zeros_like(skin)
    for i, (dim, side) in enumerate(((2, height), (3, width))):
        line = torch.arange(side, device=masks.device, dtype=masks.dtype)
        line = line[:, None] if dim == 2 else line[None]
        far = (
            far
            + ((line - _middle(skin, dim)[:, :, None, None] - side * off[:, i]) / (side * axes[:, i])) ** 2
        )
    inside = (far < 1).to(masks.dtype)
    # Whatever is left of it at the border of a picture, its middle is a pixel of it.
    return torch.where(
        inside.sum((2, 3), keepdim=True) > 0, inside, (far == far.amin((2, 3), True)).to(masks)
    )


def _middle(mask: Tensor, dim: int) -> Tensor:
    """Centre of gravity along an axis, `[B,1,H,W] -> [B,1]`, in whole pixels."""
    line = torch.arange(mask.shape[dim], device=mask.device, dtype=mask.dtype)
    profile = mask.sum(5 - dim)
    return ((profile * line).sum(2) / profile.sum(2)).round()


def _moved(x: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """`[B,C,H,W]` moved up and to the left by whole pixels `[B,1]`; borders repeat."""
    height, width = x.shape[2:]
    rows = (torch.arange(height, device=x.device) + ys).clamp(0, height - 1).long()
    columns = (torch.arange(width, device=x.device) + xs).clamp(0, width - 1).long()
    found = x.gather(2, rows[:, None, :, None].expand(-1, x.shape[1], -1, width))
    return found.gather(3, columns[:, None, None, :].expand(-1, x.shape[1], height, -1))


@hookimpl
def magdr_forgeries() -> list[ForgerySpec]:
    return [ForgerySpec(name="splice", build=stateless(splice), donor=True, group="local")]  # type: ignore[arg-type]

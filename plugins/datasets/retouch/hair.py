"""Hair of another colour: lightness and colour are moved in Lab, strands and shadows stay."""

from __future__ import annotations

import torch
from torch import Tensor

from . import mesh
from .lab import from_lab, to_lab
from .shapes import inside, places, polygon

COLOURS = {
    "Black_Hair": ((22.0, 2.0, 1.0), 6.0),
    "Blond_Hair": ((74.0, 6.0, 34.0), 13.0),
    "Brown_Hair": ((33.0, 9.0, 15.0), 10.0),
}
"""The mean in Lab that hair of a colour gets, and the standard deviation of its lightness."""

ENOUGH = 0.02
"""Share of the picture from which on there is hair to speak of."""

KEPT = 0.25
"""Share of its own changes of hue that recoloured hair keeps."""


def hair_region(hair: Tensor, person: Tensor, points: Tensor) -> Tensor:
    """The hair that an edit recolours, `[B,1,S,S]` in [0,1], 0 on the inner face, beard and background.

    Args:
        hair, person: soft masks, `[B,1,S,S]`; guesses of a network, which leak.
        points: `[B,468,2]` in pixels.
    """
    size = hair.shape[-1]
    region = ((hair - 0.25) / 0.5).clamp(0, 1) * ((person - 0.1) / 0.4).clamp(0, 1)
    oval = mesh.line(points, mesh.OVAL)
    middle = oval.mean(1, keepdim=True)
    edge = size / 32
    face = polygon(middle + (oval - middle) * oval.new_tensor([0.90, 0.86]), size, edge)
    at = places(size, points)
    chin, left, right = (points[:, i, :, None, None] for i in (mesh.CHIN, mesh.LEFT_JAW, mesh.RIGHT_JAW))
    low = torch.minimum(left[:, 0], right[:, 0])
    high = torch.maximum(left[:, 0], right[:, 0])
    x, y = at[..., 0], at[..., 1]
    below = torch.maximum(chin[:, 1] - 0.06 * size - y, torch.maximum(low - x, x - high))
    return region * (1 - face) * (1 - inside(below, edge))


def hair_share(region: Tensor) -> Tensor:
    """The share of the picture that the region covers: `[B,1,S,S] -> [B]`."""
    return region.mean((1, 2, 3))


def recoloured(x: Tensor, region: Tensor, colour: Tensor) -> Tensor:
    """Pictures with hair of these colours; where there is hardly any hair, as they are.

    Args:
        x: `[B,3,S,S]` in [0,1].
        region: `[B,1,S,S]`, see :func:`hair_region`; outside it every pixel stays.
        colour: `[B]` int64, the place in `COLOURS`.
    """
    targets = x.new_tensor([[*mean, deviation] for mean, deviation in COLOURS.values()])[colour]
    want, spread = targets[:, :3, None, None], targets[:, 3:, None, None]
    lab = to_lab(x)
    weight = (region > 0.5).to(x)
    total = weight.sum((2, 3), keepdim=True).clamp_min(1)
    mean = (lab * weight).sum((2, 3), keepdim=True) / total
    lightness = lab[:, :1]
    deviation = (((lightness - mean[:, :1]).square() * weight).sum((2, 3), keepdim=True) / total).sqrt()
    gain = (spread / deviation.clamp_min(4.0)).clamp(0.4, 1.8)
    light = (want[:, :1] + (lightness - mean[:, :1]) * gain).clamp(2, 97)
    # A strand in the shadow has less colour as well.
    shade = (light / want[:, :1]).clamp(0.3, 1.25)
    hue = want[:, 1:] * shade + KEPT * (lab[:, 1:] - mean[:, 1:])
    new = from_lab(torch.cat([light, hue], 1))
    enough = (hair_share(region) > ENOUGH)[:, None, None, None]
    return torch.where(enough & (region > 0), x + region * (new - x), x)

"""All edits by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .glasses import Frames, wearing
from .hair import COLOURS, recoloured
from .smile import smiling

HAIR = tuple(COLOURS)
EDITS = (*HAIR, "Smiling", "Eyeglasses")
"""What can be added to a photograph, by CelebA's names; nothing can be taken away."""


def edited(x: Tensor, region: Tensor, points: Tensor, wishes: Mapping[str, Tensor], frames: Frames) -> Tensor:
    """Pictures with what is wished for, `[B,3,S,S]` in [0,1] -> same; the rest keeps its values.

    Args:
        region: `[B,1,S,S]`, the hair, see :func:`.hair.hair_region`.
        points: `[B,468,2]` in pixels.
        wishes: names of `EDITS` with `[B]` each: above .5 it is added, else left as it is. Hair gets the
            first of several colours.
        frames: the glasses.
    """
    asked = {name: values > 0.5 for name, values in wishes.items()}
    none = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    colours = torch.stack([asked.get(name, none) for name in HAIR], 1)
    if bool(colours.any()):
        new = recoloured(x, region, colours.to(torch.uint8).argmax(1))
        x = torch.where(_each(colours.any(1)), new, x)
    for name, apply in (
        ("Smiling", lambda x: smiling(x, points)),
        ("Eyeglasses", lambda x: wearing(x, points, frames)),
    ):
        if name in asked and bool(asked[name].any()):
            x = torch.where(_each(asked[name]), apply(x), x)
    return x


def _each(chosen: Tensor) -> Tensor:
    return chosen[:, None, None, None]

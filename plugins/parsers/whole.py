"""No parsing: the whole picture is one region. What masks are worth is measured against it."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import ParserSpec, hookimpl, stateless
from magdr_core.functional import PARTS, part_index

MAGDR_API = 1


def whole(x: Tensor) -> Tensor:
    """All of the picture as one part, `[B,12,H,W]` masks: the background, which no edit has as its target."""
    masks = torch.zeros(x.shape[0], len(PARTS), *x.shape[2:], dtype=x.dtype, device=x.device)
    masks[:, part_index("background")] = 1.0
    return masks


@hookimpl
def magdr_parsers() -> list[ParserSpec]:
    return [ParserSpec(name="whole", build=stateless(whole), tags=("ablation",))]

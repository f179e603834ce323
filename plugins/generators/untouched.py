"""No generator: for tasks that are about pictures themselves, such as forensics."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import Batch, Condition, Field, GeneratorSpec, SampleRng, hookimpl
from magdr_core.functional import PARTS

MAGDR_API = 1


class Untouched:
    """Gives back what it is given, and is told nothing.

    Args:
        size: side of the pictures, in pixels.
    """

    condition_names: tuple[str, ...] = ()

    def __init__(self, *, size: Annotated[int, Field(ge=16, le=1024)] = 64) -> None:
        self.size = size

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> the same values."""
        return x.clone()

    def edited(self, c: Condition) -> Tensor:
        """Nothing: bool `[B,N]` over `PARTS`."""
        return torch.zeros(len(c), len(PARTS), dtype=torch.bool, device=c.values.device)

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        empty = torch.zeros(len(batch), 0, device=batch.images.device)
        return Condition(empty, empty.bool())


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [GeneratorSpec(name="untouched", build=Untouched, tags=("no network",))]

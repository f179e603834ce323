"""Which parts of a face a generator changes, the target region M_c: by condition, or the same ones always."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from magdr_core.api import Batch, Condition, SampleRng
from magdr_core.functional import PARTS, part_index


def table_of(regions: Sequence[Sequence[str]]) -> Tensor:
    """Bool `[C,N]` over `PARTS` of C lists of names of parts."""
    table = torch.zeros(len(regions), len(PARTS), dtype=torch.bool)
    for row, names in enumerate(regions):
        table[row, [part_index(name) for name in names]] = True
    return table


class EditsByCondition(nn.Module):
    """A generator each of whose condition entries changes parts of its own.

    Args:
        regions: names of these parts, by entry.
    """

    targets: Tensor

    def __init__(self, regions: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.register_buffer("targets", table_of(regions), persistent=False)

    def asked(self, c: Condition) -> Tensor:
        """Bool `[B,C]`: the entries by which something is to be changed."""
        return c.changed

    def edited(self, c: Condition) -> Tensor:
        """Bool `[B,N]`: the parts that all that is asked for may change."""
        return (self.asked(c)[:, :, None] & self.targets).any(1)


class Unconditional(nn.Module):
    """A generator whose conditions name nothing (C = 0), which changes the same parts of every picture.

    Args:
        region: their names.
    """

    condition_names: tuple[str, ...] = ()
    target: Tensor

    def __init__(self, region: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("target", table_of([region])[0], persistent=False)

    def edited(self, c: Condition) -> Tensor:
        """Bool `[B,N]`: the region, for every picture."""
        return self.target.expand(len(c), -1)

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """The empty condition `[B,0]`: nothing is to be chosen."""
        nothing = batch.images.new_zeros(len(batch), 0)
        return Condition(nothing, nothing.bool())

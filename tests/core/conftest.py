from __future__ import annotations

import pytest
import torch

from magdr_core.types import Condition


@pytest.fixture
def images():
    """`images(batch, side)`: random 8-bit images, the same for an index whatever the batch."""

    def make(batch, side=16, seed=0):
        pictures = [
            torch.randint(0, 256, (3, side, side), generator=torch.Generator().manual_seed(seed + i))
            for i in range(batch)
        ]
        return torch.stack(pictures).float() / 255

    return make


@pytest.fixture
def conditions():
    """`conditions(batch, width)`: alternating 0/1 values that change entry 0."""

    def make(batch, width=2):
        values = (torch.arange(batch)[:, None] + torch.arange(width)) % 2
        changed = torch.zeros(batch, width, dtype=torch.bool)
        changed[:, :1] = True
        return Condition(values.float(), changed)

    return make

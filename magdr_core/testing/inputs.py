"""What components under test are called with: made from nothing, the same for an index in any batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.batch import Batch, Condition, VectorCondition
from magdr_core.functional import PARTS, to_8bit
from magdr_core.isolation.copies import private

REGIONS = 4
"""Regions of the masks that metrics are given; the last one is empty."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """A batch of whatever a kind may be called with.

    Attributes:
        images: `[B,3,H,W]`, 8-bit levels.
        conditions: one per image.
        ids: one per image; they key the random streams.
        others: `[B,3,H,W]`, the same pictures with something planted: a metric's second images.
        masks: `[B,4,H,W]`; the last region is empty.
        regions: how many the component's own masks would have, if it is a parser.
        dimension: numbers of an identity, if it encodes those.
    """

    images: Tensor
    conditions: Condition
    ids: tuple[str, ...]
    others: Tensor
    masks: Tensor
    regions: int = len(PARTS)
    dimension: int = 0

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, idx: Sequence[int]) -> Inputs:
        rows = list(idx)
        return replace(
            self,
            images=self.images[rows],
            conditions=self.conditions[rows],
            ids=tuple(self.ids[i] for i in rows),
            others=self.others[rows],
            masks=self.masks[rows],
        )

    @property
    def shape(self) -> str:
        return "x".join(map(str, self.images.shape))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by what a finding calls it: images `[B,3,H,W]`, masks `[B,N,H,W]`, conditions
        `[B,C]`."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        named = {name: value for name, value in own.items() if isinstance(value, Tensor)}
        told = zip(("conditions", "changed entries"), self.conditions.key(), strict=False)
        return named | {name: part for name, part in told if part is not None}

    def copy(self) -> Inputs:
        return replace(
            self,
            images=self.images.clone(),
            conditions=private(self.conditions),
            others=self.others.clone(),
            masks=self.masks.clone(),
        )

    def channels_last(self) -> Inputs:
        images = self.images.contiguous(memory_format=torch.channels_last)
        others = self.others.contiguous(memory_format=torch.channels_last)
        return replace(self, images=images, others=others)

    def to(self, target: torch.device | torch.dtype) -> Inputs:
        """Images, other images and masks on a device, or in another number type; conditions follow the
        device."""
        moved = replace(
            self, images=self.images.to(target), others=self.others.to(target), masks=self.masks.to(target)
        )
        if isinstance(target, torch.device):
            moved = replace(moved, conditions=self.conditions.to(target))
        return moved


def make_inputs(
    count: int, height: int, width: int, *, conditions: int = 2, first: int = 0, odd_ones: bool = False
) -> Inputs:
    """`count` pictures in the middle tones with an edge and some grain; index `first` and on.

    Args:
        conditions: entries of a condition.
        odd_ones: begin with pictures that trip components up: flat, saturated, noise, checkerboard.
    """
    pictures, others, masks, values, changed = [], [], [], [], []
    special = _odd_ones(height, width) if odd_ones else []
    for i in range(first, first + count):
        g = torch.Generator().manual_seed(1000 + i)
        coarse = torch.rand(1, 3, 4, 5, generator=g)
        smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]
        picture = 0.15 + 0.6 * smooth
        picture[:, height // 3 : height // 2, width // 4 : width // 2] += 0.15
        grain = torch.randn(3, height, width, generator=g)
        picture = picture + 0.02 * grain
        if i - first < len(special):
            picture = special[i - first]
        other = picture + 0.04 * torch.randn(3, height, width, generator=g)
        parts = torch.rand(REGIONS, height, width, generator=g)
        parts[-1] = 0
        pictures.append(picture.clamp(0, 1))
        others.append(other.clamp(0, 1))
        masks.append(parts / parts.sum(0))
        values.append((torch.rand(conditions, generator=g) > 0.5).float())
        entry = int(torch.randint(max(conditions, 1), (), generator=g))
        changed.append(torch.arange(conditions) == entry)
    return Inputs(
        to_8bit(torch.stack(pictures)),
        VectorCondition(torch.stack(values), torch.stack(changed)),
        tuple(f"picture-{i}" for i in range(first, first + count)),
        to_8bit(torch.stack(others)),
        torch.stack(masks),
    )


def faces_of(given: Inputs, names: tuple[str, ...]) -> Batch:
    """The pictures as a dataset would give them that knows all about them.

    Args:
        names: of attributes, besides the common ones.
    """
    n, device = len(given), given.images.device
    g = torch.Generator().manual_seed(0)
    known = dict.fromkeys([*names, "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Smiling"])
    return Batch(
        images=given.images,
        ids=given.ids,
        attributes={name: (torch.rand(n, generator=g) > 0.5).float().to(device) for name in known},
        action_units=torch.rand(n, 17, generator=g).to(device),
        identities=torch.arange(n, device=device),
    )


def _odd_ones(height: int, width: int) -> list[Tensor]:
    flat = [torch.full((3, height, width), level) for level in (0.0, 1.0, 0.5)]
    pure = torch.zeros(3, height, width)
    pure[0] = 1.0
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    board = ((rows + columns) % 2).float().expand(3, -1, -1)
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    dot = torch.zeros(3, height, width)
    dot[:, height // 2, width // 2] = 1.0
    return [*flat, pure, board, noise, noise.round(), dot]

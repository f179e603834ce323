"""Layers of a picture, and the one pass that turns them into colours and exact soft masks."""

from __future__ import annotations

import torch
from torch import Tensor

CLASSES: tuple[str, ...] = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip
CLASS = {name: i for i, name in enumerate(CLASSES)}


class Canvas:
    """Takes layers from back to front; what no layer covers shows the background."""

    def __init__(self, background: Tensor) -> None:
        self.background = background
        self._layers: list[tuple[str, str, Tensor, Tensor, Tensor | None]] = []

    def add(self, name: str, share: Tensor, light: Tensor) -> None:
        """A layer of one class: share `[B,H,W]` in [0,1], linear colours `[B,3,H,W]`."""
        self._layers.append((name, name, share, light, None))

    def add_split(self, names: tuple[str, str], share: Tensor, light: Tensor, first: Tensor) -> None:
        """A layer of two classes, of the first one with the weight `first` `[B,H,W]` in [0,1]."""
        self._layers.append((*names, share, light, first))

    def shade(self, amount: Tensor) -> None:
        """A cast shadow `[B,H,W]` on all layers so far, but not on the background: it has no class."""
        kept = (1.0 - amount)[:, None]
        self._layers = [(a, b, share, light * kept, first) for a, b, share, light, first in self._layers]

    def flatten(self) -> tuple[Tensor, Tensor]:
        """Linear picture `[B,3,H,W]` and masks `[B,19,H,W]` that sum to 1.

        From front to back, each layer is seen through what the layers before it let through.
        """
        picture = torch.zeros_like(self.background)
        batch, _, *shape = picture.shape
        masks = picture.new_zeros(batch, len(CLASSES), *shape)
        through = picture.new_ones(batch, *shape)
        for one, other, share, light, first in reversed(self._layers):
            seen = share * through
            through = through - seen
            picture += seen[:, None] * light
            if first is None:
                masks[:, CLASS[one]] += seen
            else:
                part = seen * first
                masks[:, CLASS[one]] += part
                masks[:, CLASS[other]] += seen - part
        masks[:, 0] += through
        picture += through[:, None] * self.background
        return picture, masks

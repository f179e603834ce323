"""Training of an inpainting network: pictures are their own results, behind a hole."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.components.batch import VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.train.translating import TranslatingTrainer


class InpaintingTrainer(TranslatingTrainer):
    """The error counts again in the hole; `settings` as of an editor.

    The network says by `missing(c, side)` where it is to fill something in.
    """

    def result(self, images: Tensor) -> Tensor:
        return images

    def asked(self, count: int, rng: SampleRng) -> VectorCondition:
        """One rectangle for each."""
        names = len(self.net.condition_names)
        asked = torch.arange(names, device=rng.device) == rng.integers(1, high=names)
        return VectorCondition(asked.float(), asked)

    def region(self, images: Tensor, c: VectorCondition) -> Tensor:
        missing: Tensor = self.net.missing(c, images.shape[3])
        return missing

    def copied(self, images: Tensor, region: Tensor) -> Tensor:
        """The mean colour of what can be seen."""
        seen = 1 - region
        mean = (images * seen).sum((2, 3), keepdim=True) / seen.sum((2, 3), keepdim=True).clamp_min(1)
        return mean.expand_as(images)

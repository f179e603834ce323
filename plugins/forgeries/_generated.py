"""Editing, reenactment and replacement: a generator's output pasted through the region that it should change.

What a generator makes of the rest of a picture is left out: every pixel of it would be forged, and softness
alone would tell.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from magdr_core.api import Batch, Condition, Forged, SampleRng

from ._blur import blur_each
from ._paste import feathered, paste, unforged
from ._regions import or_face, parts_of, widened

PLAINLY = 0.1
"""Of a change in some channel, blurred: what is put on, glasses say, is pasted where no part was; detail that
a generator loses everywhere averages out."""

BLURRED = 1.0
"""Sigma of that blur, in pixels of a picture of 64."""


class Generated:
    """A generator asked for something else than the picture shows.

    Args:
        generator: G, with its target region `edited(c)` and its own `draw` of conditions.
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
        visible: paste also what changed plainly outside the target parts.
    """

    def __init__(self, generator: Any, *, feather: float = 1.0, visible: bool = False) -> None:
        self.generator, self.feather, self.visible = generator, feather, visible

    @torch.no_grad()
    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Donors are ignored."""
        c = self._drawn(batch, rng.fork(1))
        made = self.generator(batch.images, c)
        region = self._region(batch, c)
        if self.visible:
            change = self._smooth(made - batch.images).abs().amax(1, keepdim=True) > PLAINLY
            region = torch.maximum(region, widened(change.to(region), 1))
        return paste(batch.images, made, self._alpha(region))

    @torch.no_grad()
    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """What G makes where it is told what the picture shows, in the same region; the picture itself, of a
        generator that cannot be told so."""
        c = self._drawn(batch, rng.fork(1))
        shown = _shown(self.generator.condition_names, batch)
        if shown is None:
            return unforged(batch.images)
        nothing = Condition(shown, torch.zeros_like(shown, dtype=torch.bool))
        made = self.generator(batch.images, nothing)
        return unforged(paste(batch.images, made, self._alpha(self._region(batch, c))).images)

    def _drawn(self, batch: Batch, rng: SampleRng) -> Any:
        """What G is asked for. Of a clip that is one thing, by what its first frame shows; what is left alone
        stays as each frame has it."""
        c = self.generator.draw(batch.opening, rng)
        shown = None if batch.clips is None else _shown(self.generator.condition_names, batch)
        return c if shown is None else Condition(torch.where(c.changed, c.values, shown), c.changed)

    @staticmethod
    def _smooth(change: Tensor) -> Tensor:
        sigma = BLURRED * change.shape[-1] / 64
        return blur_each(change, change.new_full((len(change),), sigma), widest=sigma)

    def _region(self, batch: Batch, c: Any) -> Tensor:
        parts = parts_of(batch)
        target = self.generator.edited(c).to(parts)
        region = (parts * target[:, :, None, None]).sum(1, keepdim=True).clamp(0, 1)
        return or_face(region, parts)

    def _alpha(self, region: Tensor) -> Tensor:
        return feathered(region, region.new_full((len(region),), self.feather))


def _shown(names: tuple[str, ...], batch: Batch) -> Tensor | None:
    """What a condition `[B,C]` says of the pictures as they are; None if nobody knows or it says nothing."""
    if names and all(name in batch.attributes for name in names):
        return torch.stack([batch.attributes[name] for name in names], 1)
    units = batch.action_units
    if units is not None and len(names) == units.shape[1] and all(name.startswith("AU") for name in names):
        return units
    return None

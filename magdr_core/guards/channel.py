"""Core's wrapper around a channel: 8 bits in, 8 bits out."""

from __future__ import annotations

from torch import Tensor

from magdr_core.components.rng import SampleRng
from magdr_core.functional import to_8bit
from magdr_core.guards.base import Guard


class GuardedChannel(Guard):
    """What is done to published pictures on their way, which are files: whatever comes out is rounded."""

    def __call__(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        """Pictures as they are published, `[B,3,H,W]` in [0,1], to what is received: same, 8-bit.

        Raises:
            ComponentError: another shape or range, or it fails.
        """
        published = to_8bit(x.detach())
        return to_8bit(self.images(self.call(self.component, published, **self.arguments(rng)), published))

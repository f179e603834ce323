"""Core's wrapper around a channel: 8 bits in, 8 bits out."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.components.rng import SampleRng
from magdr_core.functional import straight_through, to_8bit
from magdr_core.guards.base import Guard


class GuardedChannel(Guard):
    """What is done to published pictures on their way, which are files: whatever comes out is rounded.

    A codec has no gradient. Who searches through a channel follows that of the component's `soft` where it
    has one, a map of the same pictures that is close to it and differentiable, else that of the picture.
    """

    @property
    def random(self) -> bool:
        """Whether two draws can differ: of a chain, whether those of a link can."""
        return bool(getattr(self.component, "random", self.stochastic))

    def __call__(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        """Pictures as they are published, `[B,3,H,W]` in [0,1], to what is received: same, 8-bit.

        Raises:
            ComponentError: another shape or range, or it fails.
        """
        published = to_8bit(x.detach())
        return to_8bit(self.images(self.call(self.component, published, **self.arguments(rng)), published))

    def soft(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        """What is differentiated in the channel's place, `[B,3,H,W]` in [0,1] -> same; `x` itself where the
        channel does not say.

        Raises:
            ComponentError: another shape or range, or it fails.
        """
        if not hasattr(self.component, "soft"):
            return x
        return self.images(self.call(self.component.soft, x, **self.arguments(rng)), x, "soft returned")

    def through(self, x: Tensor, *, rng: SampleRng) -> Tensor:
        """What is received, `[B,3,H,W]`, 8-bit, with the gradient of `soft`, both with the same draws.

        Raises:
            ComponentError: as of a call, and of `soft`.
        """
        received = self(x, rng=rng.fork(0))
        if not (torch.is_grad_enabled() and x.requires_grad):
            return received
        return straight_through(received, self.soft(x, rng=rng.fork(0)))

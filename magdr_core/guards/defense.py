"""Core's wrapper around a defense."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.guards.base import Fitted
from magdr_core.guards.choosing import GuardedChoosing


class GuardedDefense(Fitted):
    def __call__(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Tensor:
        """Restored images of such, `[B,3,H,W]`.

        Raises:
            ComponentError: it fails, or returns anything but images in [0,1] of that shape.
        """
        return self.images(self.call(self.component, x, c, G, **self.arguments(rng)), x)

    def output(
        self, restored: Tensor, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None
    ) -> Tensor:
        """`output(x, c, G)` of a defense that acts on the output too, else `G(restored, c)`; `[B,3,H,W]`.

        One whose output follows from what it restored has `output_on(restored, x, c, G)` in its place, and
        need not restore twice.

        Args:
            restored: `[B,3,H,W]`, what the defense made of `x`.
            x: `[B,3,H,W]` in [0,1], the received images.
            rng: of a stochastic one the stream that it restored with, from its start.

        Raises:
            ComponentError: another shape or range than that of `x`, or it fails.
        """
        if hasattr(self.component, "output_on"):
            y = self.call(self.component.output_on, restored, x, c, G, **self.arguments(rng))
            return self.images(y, x, "output_on returned")
        if not hasattr(self.component, "output"):
            return G(restored, c)
        y = self.call(self.component.output, x, c, G, **self.arguments(rng))
        return self.images(y, x, "output returned")

    @property
    def choosing(self) -> GuardedChoosing:
        """Its gate and its choice, as far as it has them."""
        return GuardedChoosing(self)

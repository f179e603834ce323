"""Core's wrapper around a detector."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.guards.base import Fitted


class GuardedDetector(Fitted):
    def __call__(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Tensor:
        """Suspicion `[B]` of images `[B,3,H,W]`.

        Raises:
            ComponentError: it fails, or returns anything but finite numbers `[B]`.
        """
        return self.scores(self.call(self.component, x, c, G, **self.arguments(rng)), (x.shape[0],))

    def with_output(
        self, x: Tensor, c: Condition, G: Any, y: Tensor, *, rng: SampleRng | None = None
    ) -> Tensor:
        """The same `[B]` where `y = G(x,c)`, `[B,3,H,W]`, is known: a detector that takes it saves the pass.
        Raises as the call."""
        if not hasattr(self.component, "with_output"):
            return self(x, c, G, rng=rng)
        found = self.call(self.component.with_output, x, c, G, y, **self.arguments(rng))
        return self.scores(found, (x.shape[0],))

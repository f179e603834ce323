"""Core's wrapper around an augmentation or a restoration."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from magdr_core.components.rng import SampleRng
from magdr_core.guards.base import Guard


class GuardedImageMap(Guard):
    """An augmentation or a restoration."""

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.geometric = hasattr(component, "undo")
        self.takes_clips = hasattr(component, "clip") and not stochastic

    def __call__(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same.

        Raises:
            ComponentError: another shape or range, or it fails.
        """
        return self.images(self.call(self.component, x, **self.arguments(rng)), x)

    def clip(self, x: Tensor) -> Tensor:
        """The frames of one clip, `[n,3,H,W]` in [0,1] in their order, -> same.

        Raises:
            ComponentError: another shape or range, it fails, or it knows no clips.
        """
        if not self.takes_clips:
            raise self.fail("does not take clips")
        return self.images(self.call(self.component.clip, x), x, "clip returned")

    def undo(self, y: Tensor) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same, with the geometry of the map undone; itself where there is none."""
        if not self.geometric:
            return y
        return self.images(self.call(self.component.undo, y), y, "undo returned")

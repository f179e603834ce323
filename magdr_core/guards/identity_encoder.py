"""Core's wrapper around an identity encoder: vectors that are directions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from magdr_core.functional import in_pieces
from magdr_core.guards.base import Guard
from magdr_core.isolation.expectations import expect

LENGTH_SLACK = 1e-3
"""A vector's length may be so far from 1."""


class GuardedIdentityEncoder(Guard):
    """An identity encoder. On a CPU the batch is processed in pieces, so that a face has the same bits in any
    batch.

    Attributes:
        size: side in pixels that pictures are brought to inside.
        dimension: numbers of an identity.
    """

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.size: int = component.size
        self.dimension: int = component.dimension

    def __call__(self, x: Tensor) -> Tensor:
        """Who is shown on faces `[B,3,H,W]` in [0,1]: `[B,D]`, of length 1 each.

        Raises:
            ComponentError: another shape or length, or it fails.
        """
        found = self.call(lambda x: in_pieces(lambda i: self.component(x[i]), x), x)
        found = self.scores(found, (x.shape[0], self.dimension))
        if found.numel():
            away = (found.detach().square().sum(1).sqrt() - 1).abs().max()
            expect(
                away <= LENGTH_SLACK, lambda: self.fail(f"returned a vector {float(away):.3g} off length 1")
            )
        checked: Tensor = found
        return checked

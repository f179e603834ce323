"""Core's wrapper around an attack: 8 bits, and inside its ball."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from magdr_core.components.objective import ObjectiveName
from magdr_core.components.rng import SampleRng
from magdr_core.functional import round_toward
from magdr_core.guards.base import Fitted
from magdr_core.isolation.expectations import expect

_BALL_SLACK = 1e-5


class GuardedAttack(Fitted):
    """An attack whose result is rounded to 8 bits toward the clean image, and stays in the ball.

    Attributes:
        objective: what it aims at; the generator's own if None.
    """

    def __init__(
        self,
        component: Any,
        where: str,
        *,
        eps: float,
        objective: ObjectiveName | None = None,
        stochastic: bool = False,
    ) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.eps = eps
        self.objective = objective

    def __call__(self, x: Tensor, objective: Any, *, rng: SampleRng | None = None) -> Tensor:
        """Attacked images, 8-bit and inside the eps ball around `x`, `[B,3,H,W]` in [0,1].

        Raises:
            ComponentError: another shape or range than that of `x`, or it fails.
        """
        return self._inside(self.call(self.component, x, objective, **self.arguments(rng)), x)

    def checkpoints(
        self, x: Tensor, objective: Any, steps: Sequence[int], *, rng: SampleRng | None = None
    ) -> list[Tensor]:
        """What one run has after each of these numbers of steps, each `[B,3,H,W]` as `__call__` gives it.

        Raises:
            ComponentError: the attack has no `checkpoints`, or not so many were returned.
        """
        if not hasattr(self.component, "checkpoints"):
            raise self.fail("has no checkpoints, so it cannot be swept over its steps")
        found = self.call(self.component.checkpoints, x, objective, list(steps), **self.arguments(rng))
        if not isinstance(found, list | tuple):
            raise self.fail(f"returned a {type(found).__name__}, expected a list of checkpoints")
        if len(found) != len(steps):
            raise self.fail(f"returned {len(found)} checkpoints, expected {len(steps)}")
        return [self._inside(x_hat, x) for x_hat in found]

    def _inside(self, x_hat: Any, x: Tensor) -> Tensor:
        x_hat = self.images(x_hat, x)
        if x.numel():
            worst = (x_hat.detach() - x).abs().max()
            expect(
                worst <= self.eps + _BALL_SLACK,
                lambda: self.fail(
                    f"left its eps ball: a pixel moved by {float(worst):.4f}, eps is {self.eps:.4f}"
                ),
            )
        return round_toward(x_hat.detach(), x)

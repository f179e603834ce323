"""Core's wrapper around every component: what must always hold is checked here, not in each component.

A wrapped component keeps its call, and a violation or an exception becomes a :class:`ComponentError` that
names the component, its plugin and the shapes at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from torch import Tensor

from magdr_core.expectations import expect
from magdr_core.functional import PARTS, in_pieces, round_toward
from magdr_core.generator_guard import GuardedGenerator
from magdr_core.objective import ObjectiveName
from magdr_core.rng import SampleRng
from magdr_core.types import Condition
from magdr_core.watch import RANGE_SLACK, Fitted, Guard

__all__ = [
    "Guard",
    "GuardedAttack",
    "GuardedDefense",
    "GuardedDetector",
    "GuardedGenerator",
    "GuardedImageMap",
    "GuardedMetric",
    "GuardedParser",
]

_BALL_SLACK = 1e-5


class GuardedImageMap(Guard):
    """An augmentation or a restoration."""

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.geometric = hasattr(component, "undo")

    def __call__(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        return self.images(self.call(self.component, x, **self.arguments(rng)), x)

    def undo(self, y: Tensor) -> Tensor:
        if not self.geometric:
            return y
        return self.images(self.call(self.component.undo, y), y, "undo returned")


class GuardedMetric(Guard):
    """A criterion with its orientation.

    Attributes:
        conditional: the criterion looks at images through the generator, which `given` names.
    """

    def __init__(
        self,
        component: Any,
        where: str,
        *,
        higher_is_better: bool = False,
        to_distance: Callable[[Tensor], Tensor] | None = None,
        conditional: bool = False,
    ) -> None:
        super().__init__(component, where)
        self.higher_is_better = higher_is_better
        self._to_distance = to_distance
        self.conditional = conditional
        self._through: dict[str, Any] | None = None if conditional else {}

    def given(self, c: Condition, G: Any) -> GuardedMetric:
        """The same criterion for images that go through G with these conditions."""
        if not self.conditional:
            return self
        bound = copy(self)
        bound._through = {"c": c, "G": G}
        return bound

    def __call__(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        if self._through is None:
            raise self.fail("looks at images through a generator and was called without one")
        values = self.call(self.component, a, b, masks, **self._through)
        return self.scores(values, (a.shape[0], masks.shape[1]))

    def distance(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        """Oriented so that larger is more different, `[B,N]`, non-negative."""
        values = self(a, b, masks)
        if self._to_distance is None:
            return values
        return self.scores(self.call(self._to_distance, values), tuple(values.shape))


class GuardedParser(Guard):
    def __call__(self, x: Tensor) -> Tensor:
        masks = self.call(lambda x: in_pieces(lambda i: self.component(x[i]), x), x)
        masks = self.scores(masks, (x.shape[0], len(PARTS), *x.shape[2:]))
        if masks.numel():
            expect(masks.detach().min() >= -RANGE_SLACK, lambda: self.fail("returned negative masks"))
            expect(
                (masks.detach().sum(1) - 1).abs().max() <= 1e-3,
                lambda: self.fail("returned masks that do not sum to 1 at each pixel"),
            )
        return masks

    @property
    def features(self) -> Any:
        """The component's own `features(x)`; AttributeError if it has none."""
        features = self.component.features
        return lambda x: self.call(features, x)


class GuardedAttack(Guard):
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
        return self._inside(self.call(self.component, x, objective, **self.arguments(rng)), x)

    def checkpoints(
        self, x: Tensor, objective: Any, steps: Sequence[int], *, rng: SampleRng | None = None
    ) -> list[Tensor]:
        """What one run has after each of these numbers of steps, each as `__call__` gives it.

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


class GuardedDetector(Fitted):
    def __call__(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Tensor:
        return self.scores(self.call(self.component, x, c, G, **self.arguments(rng)), (x.shape[0],))


class GuardedDefense(Fitted):
    def __call__(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Tensor:
        return self.images(self.call(self.component, x, c, G, **self.arguments(rng)), x)

    def output(
        self, restored: Tensor, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None
    ) -> Tensor:
        """`output(x, c, G)` of a defense that acts on the output too, else `G(restored, c)`.

        A stochastic one is given the stream that it restored with, from its start.
        """
        if not hasattr(self.component, "output"):
            return G(restored, c)
        y = self.call(self.component.output, x, c, G, **self.arguments(rng))
        return self.images(y, x, "output returned")

"""Core's wrapper around a criterion: its values and its orientation."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.guards.base import Guard


class GuardedMetric(Guard):
    """A criterion with its orientation.

    Args:
        to_distance: `[B,N]` values to distances, not negative and larger for what differs more; None if the
            values are such.

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
        """One value for each region, `[B,N]`.

        Args:
            a, b: `[B,3,H,W]` in [0,1].
            masks: `[B,N,H,W]` in [0,1].

        Raises:
            ComponentError: another shape, values that are not finite, or it fails.
        """
        if self._through is None:
            raise self.fail("looks at images through a generator and was called without one")
        values = self.call(self.component, a, b, masks, **self._through)
        return self.scores(values, (a.shape[0], masks.shape[1]))

    def distance(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        """Oriented so that larger is more different, `[B,N]`, non-negative."""
        values = self(a, b, masks)
        if self._to_distance is None:
            return values
        return self.scores(self.call(self.oriented, values), tuple(values.shape))

    def oriented(self, values: Tensor) -> Tensor:
        """Values of the criterion as distances, any shape -> same; nothing is looked at."""
        return values if self._to_distance is None else self._to_distance(values)

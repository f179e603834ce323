"""Several aims of an attack at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from magdr_core.components.protocols import ImageMap, Objective
from magdr_core.isolation.copies import private, tensors_in


class JointObjective:
    """Several aims on the same images at once, `sum_i w_i L_i(x)`: other generators, or other conditions.

    What a perturbation has to do that shall work on all of them (a universal one, say).

    Args:
        objectives: of the same images `[B,3,H,W]`, one row each.
        weights: of their losses, at least one of them above 0; equal shares that add up to 1 if None.

    Raises:
        ValueError: no objective, another number of weights, or a weight that is negative or not finite.
    """

    def __init__(self, objectives: Sequence[Objective], weights: Sequence[float] | None = None) -> None:
        self.objectives = tuple(objectives)
        if not self.objectives:
            raise ValueError("a joint objective needs at least one objective")
        even = [1 / len(self.objectives)] * len(self.objectives)
        self.weights = tuple(float(w) for w in (even if weights is None else weights))
        if len(self.weights) != len(self.objectives):
            raise ValueError(f"{len(self.objectives)} objectives, {len(self.weights)} weights")
        if not all(0 <= w < math.inf for w in self.weights) or not any(self.weights):
            raise ValueError(f"weights {list(self.weights)}: expected finite numbers from 0 on, one above 0")

    def tensors(self) -> Iterator[Tensor]:
        """Those that `private_copy` copies, in order: images `[B,3,H,W]` and conditions of each."""
        yield from tensors_in(self.objectives)

    def private_copy(self) -> JointObjective:
        """The same aims for an attack to keep."""
        return JointObjective(private(self.objectives), self.weights)

    def __call__(self, x: Tensor) -> Tensor:
        """`[B]` of `[B,3,H,W]`, differentiable."""
        return self._sum([objective(x) for objective in self.objectives])

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(loss `[B]`, gradient `[B,3,H,W]`); one generator's graph is in memory at a time."""
        found = [objective.gradient(x) for objective in self.objectives]
        return self._sum([loss for loss, _ in found]), self._sum([slope for _, slope in found])

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(loss `[B]`, the sum; disruption `[B]`, the weighted mean; feasible, bool `[B]`, for all)."""
        losses, disruptions, feasible = zip(*(o.evaluate(x) for o in self.objectives), strict=True)
        mean = self._sum(disruptions) / sum(self.weights)
        return self._sum(losses), mean, torch.stack(feasible).all(0)

    def goal(self, tau: float) -> float:
        """The loss where every objective is at its own."""
        return sum(w * o.goal(tau) for w, o in zip(self.weights, self.objectives, strict=True))

    def select(self, idx: Tensor) -> JointObjective:
        """The same of some of the images: `idx` is `[n]` indices or `[B]` booleans."""
        return self._each([o.select(idx) for o in self.objectives])

    def preprocessed(self, f: ImageMap) -> JointObjective:
        return self._each([o.preprocessed(f) for o in self.objectives])

    def postprocessed(self, f: ImageMap) -> JointObjective:
        return self._each([o.postprocessed(f) for o in self.objectives])

    def encoded(self, layer: int = -1, *, away: bool = True) -> JointObjective:
        """Raises ComponentError if a generator has no such layer."""
        return self._each([o.encoded(layer, away=away) for o in self.objectives])

    def classes(self, *, first_reference: bool = False) -> list[JointObjective]:
        """The k-th class of every objective together; one with fewer starts again from its first.

        Raises:
            ComponentError: a generator takes conditions and does not list them.
        """
        lists = [o.classes(first_reference=first_reference) for o in self.objectives]
        return [self._each([one[k % len(one)] for one in lists]) for k in range(max(map(len, lists)))]

    def _each(self, objectives: Sequence[Objective]) -> JointObjective:
        return JointObjective(objectives, self.weights)

    def _sum(self, values: Sequence[Tensor]) -> Tensor:
        total = self.weights[0] * values[0]
        for weight, value in zip(self.weights[1:], values[1:], strict=True):
            total = total + weight * value
        return total

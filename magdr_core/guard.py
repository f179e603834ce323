"""Core's wrapper around every component: what must always hold is checked here, not in each component.

A wrapped component keeps its call, and a violation or an exception becomes a :class:`ComponentError` that
names the component, its plugin and the shapes at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor

from magdr_core.errors import ComponentError, MagdrError, one_line
from magdr_core.functional import PARTS, in_pieces, round_toward
from magdr_core.memory import OutputMemory
from magdr_core.objective import ObjectiveName
from magdr_core.rng import SampleRng
from magdr_core.types import Batch, Condition
from magdr_core.watch import RANGE_SLACK, Guard, version_of

_BALL_SLACK = 1e-5


class GuardedImageMap(Guard):
    """An augmentation or a restoration."""

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.geometric = hasattr(component, "undo")

    def __call__(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        with self.watched(x):
            y = self.component(x, **self.arguments(rng))
        return self.images(y, x)

    def undo(self, y: Tensor) -> Tensor:
        if not self.geometric:
            return y
        with self.watched(y):
            back = self.component.undo(y)
        return self.images(back, y, "undo returned")


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
        with self.watched(a, b, masks):
            values = self.component(a, b, masks, **self._through)
        return self.scores(values, (a.shape[0], masks.shape[1]))

    def distance(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        """Oriented so that larger is more different, `[B,N]`, non-negative."""
        values = self(a, b, masks)
        return values if self._to_distance is None else self._to_distance(values)


class GuardedGenerator(Guard):
    """G, frozen and counted.

    On a CPU the batch is processed in power-of-two pieces: those give the same bits whatever the batch size
    (a convolution's work is split by the batch, and odd sizes split it elsewhere).

    Attributes:
        objective: what attacks on it aim at unless they say.
        passes: images that went through G since the counter was last read with `take_passes`; those that
            were remembered count too.
        memory: shares outputs between components that ask the same, where it is set; on a CPU and without
            gradients only.
        forward: what is called for a pass; the component, or a faster form of it (:mod:`magdr_core.speed`).
    """

    def __init__(
        self,
        component: Any,
        where: str,
        *,
        stochastic: bool = False,
        objective: ObjectiveName = "untargeted",
    ) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.objective = objective
        self.size: int = component.size
        self.condition_names: tuple[str, ...] = tuple(component.condition_names)
        self.passes = 0
        self.memory: OutputMemory | None = None
        self.forward: Callable[[Tensor, Condition], Tensor] = component

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        if len(c) != x.shape[0] or c.values.shape[1] != len(self.condition_names):
            raise self.fail(
                f"got {x.shape[0]} images and conditions {tuple(c.values.shape)}, "
                f"expected [{x.shape[0]},{len(self.condition_names)}]"
            )
        self.passes += x.shape[0]
        version = version_of(x)
        try:
            if self.memory is None or x.device.type != "cpu" or torch.is_grad_enabled():
                y = self._compute(x, c)
            else:
                y = self.memory(x, c, self._compute)
        except (MagdrError, torch.OutOfMemoryError):
            raise
        except Exception as e:
            raise ComponentError(f"{self.where}: failed on {tuple(x.shape)}: {one_line(e)}") from e
        if version_of(x) != version:
            raise self.fail("edits its input in place")
        # Passes with gradients are an attack's loop, in which a GPU must not wait for every check; what the
        # loop leads to is looked at again without gradients.
        return self.images(y, x, values=x.device.type == "cpu" or not torch.is_grad_enabled())

    def _compute(self, x: Tensor, c: Condition) -> Tensor:
        y: Tensor = in_pieces(lambda i: self.forward(x[i], c[i]), x)
        return y

    @contextmanager
    def plain(self) -> Iterator[None]:
        """Passes without any `[speed]` setting, and none that were remembered from faster ones."""
        if self.forward is self.component:
            yield
            return
        before = self.forward, self.memory
        memory = None if self.memory is None else OutputMemory(self.memory.capacity)
        self.forward, self.memory = self.component, memory
        try:
            yield
        finally:
            self.forward, self.memory = before

    def take_passes(self) -> int:
        taken, self.passes = self.passes, 0
        return taken

    def edited(self, c: Condition) -> Tensor:
        target: Tensor = self.component.edited(c)
        if target.dtype != torch.bool or tuple(target.shape) != (len(c), len(PARTS)):
            raise self.fail(f"edited returned {tuple(target.shape)}, expected bool [{len(c)},{len(PARTS)}]")
        return target

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        with self.watched(batch.images):
            c: Condition = self.component.draw(batch, rng)
        if not bool(c.changed.any(1).all()) and c.changed.shape[1]:
            raise self.fail("drew a condition that changes nothing")
        return c

    def classes(self, c: Condition) -> Sequence[Condition]:
        """Every condition that the faces of `c` could be given; `c` alone where there are no conditions.

        Raises:
            ComponentError: the generator has conditions and does not list them.
        """
        if not self.condition_names:
            return [c]
        if not hasattr(self.component, "classes"):
            raise self.fail("does not list its conditions (classes), which a class-transferable attack needs")
        found: Sequence[Condition] = self.component.classes(c)
        if not found or any(one.values.shape != c.values.shape for one in found):
            raise self.fail(f"classes returned no conditions for {len(c)} images")
        return found

    def features(self, x: Tensor, c: Condition, layer: int) -> Tensor:
        """One of the component's `features(x, c)`, `[B,C,h,w]`; a pass each.

        Raises:
            ComponentError: the generator has no features, or not so many.
        """
        if not hasattr(self.component, "features"):
            raise self.fail("has no features")
        self.passes += x.shape[0]

        def one(i: slice | list[int]) -> Tensor:
            maps: Sequence[Tensor] = self.component.features(x[i], c[i])
            if not -len(maps) <= layer < len(maps):
                raise self.fail(f"has {len(maps)} layers of features, there is no layer {layer}")
            return maps[layer]

        with self.watched(x):
            found: Tensor = in_pieces(one, x)
        return found


class GuardedParser(Guard):
    def __call__(self, x: Tensor) -> Tensor:
        with self.watched(x):
            masks = in_pieces(lambda i: self.component(x[i]), x)
        expected = (x.shape[0], len(PARTS), *x.shape[2:])
        self.scores(masks, expected)
        if masks.numel() and float(masks.detach().min()) < -RANGE_SLACK:
            raise self.fail("returned negative masks")
        if masks.numel() and float((masks.detach().sum(1) - 1).abs().max()) > 1e-3:
            raise self.fail("returned masks that do not sum to 1 at each pixel")
        return masks

    @property
    def features(self) -> Any:
        """The component's own `features(x)`; AttributeError if it has none."""
        return self.component.features


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
        with self.watched(x):
            x_hat = self.component(x, objective, **self.arguments(rng))
        return self._inside(x_hat, x)

    def checkpoints(
        self, x: Tensor, objective: Any, steps: Sequence[int], *, rng: SampleRng | None = None
    ) -> list[Tensor]:
        """What one run has after each of these numbers of steps, each as `__call__` gives it.

        Raises:
            ComponentError: the attack has no `checkpoints`, or not so many were returned.
        """
        if not hasattr(self.component, "checkpoints"):
            raise self.fail("has no checkpoints, so it cannot be swept over its steps")
        with self.watched(x):
            found = self.component.checkpoints(x, objective, steps, **self.arguments(rng))
        if len(found) != len(steps):
            raise self.fail(f"returned {len(found)} checkpoints, expected {len(steps)}")
        return [self._inside(x_hat, x) for x_hat in found]

    def _inside(self, x_hat: Tensor, x: Tensor) -> Tensor:
        self.images(x_hat, x)
        worst = float((x_hat.detach() - x).abs().max()) if x.numel() else 0.0
        if worst > self.eps + _BALL_SLACK:
            raise self.fail(f"left its eps ball: a pixel moved by {worst:.4f}, eps is {self.eps:.4f}")
        return round_toward(x_hat.detach(), x)


class GuardedDetector(Guard):
    def __call__(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Tensor:
        with self.watched(x):
            score = self.component(x, c, G, **self.arguments(rng))
        return self.scores(score, (x.shape[0],))


class GuardedDefense(Guard):
    def __call__(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Tensor:
        with self.watched(x):
            restored = self.component(x, c, G, **self.arguments(rng))
        return self.images(restored, x)

    def output(
        self, restored: Tensor, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None
    ) -> Tensor:
        """`output(x, c, G)` of a defense that acts on the output too, else `G(restored, c)`.

        A stochastic one is given the stream that it restored with, from its start.
        """
        if not hasattr(self.component, "output"):
            return G(restored, c)
        with self.watched(x):
            y = self.component.output(x, c, G, **self.arguments(rng))
        return self.images(y, x, "output returned")

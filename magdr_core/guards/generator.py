"""Core's wrapper around a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Batch, Condition, VectorCondition
from magdr_core.components.objective import ObjectiveName
from magdr_core.components.regions import Regions
from magdr_core.components.rng import SampleRng
from magdr_core.components.stream_keys import content_keys
from magdr_core.functional import in_pieces
from magdr_core.guards.base import COUNTERS, Guard
from magdr_core.guards.generator_handle import GeneratorHandle
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.isolation.expectations import expect


class GuardedGenerator(Guard):
    """G, frozen and counted.

    On a CPU the batch is processed in power-of-two pieces: those give the same bits whatever the batch size
    (a convolution's work is split by the batch, and odd sizes split it elsewhere).

    A stochastic one draws from streams that are keyed by (component, image, condition): the same input gives
    the same output in any batch, order, shard and process. Other draws for the same input are had inside
    `redraw`.

    Attributes:
        objective: what attacks on it aim at unless they say.
        passes: images that went through G since the counter was last read with `take_passes`; those that
            were remembered count too.
        told: called with `passes` after each pass, where it is set: to show how far a long step is.
        memory: shares outputs between components that ask the same, where it is set; on a CPU and without
            gradients only.
        forward: what is called for a pass; the component, or a faster form of it
            (:mod:`magdr_core.guards.accelerate`).
        stream: names the streams of a stochastic one.
        regions: what `edited` is over; the twelve `PARTS` where the component declares nothing.
        takes_source: conditions can also tell what another picture shows (`with_source`).
        needs_source: they have to.
        takes_text: conditions can also be a text (`with_text`).
        additive: it only adds: a condition of 0 leaves as it is what a picture shows.
        whole_target: it is told of every attribute whether its output shall show it: 0 takes it away.
    """

    def __init__(
        self,
        component: Any,
        where: str,
        *,
        stochastic: bool = False,
        objective: ObjectiveName = "untargeted",
        stream: str = "generator",
    ) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.objective = objective
        self.size: int = component.size
        self.condition_names: tuple[str, ...] = tuple(component.condition_names)
        self.regions: Regions = self.declared_regions()
        self.additive = bool(getattr(component, "additive", False))
        self.whole_target = bool(getattr(component, "whole_target", False))
        self.takes_source = hasattr(component, "with_source")
        self.needs_source = bool(getattr(component, "needs_source", False))
        self.takes_text = hasattr(component, "with_text")
        self.passes = 0
        self.told: Callable[[int], None] | None = None
        self.memory: OutputMemory | None = None
        self.forward: Callable[..., Tensor] = component
        self.stream = stream
        self._number = 0
        COUNTERS.add(self)

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        """The output on images `[B,3,S,S]` in [0,1] with B conditions, `[B,3,S,S]` in [0,1]; counted.

        Raises:
            ComponentError: another number of conditions or of their entries, another shape or range, or it
                fails.
        """
        self._check_condition(x, c)
        self._count(x.shape[0])
        if self.memory is None or x.device.type != "cpu" or torch.is_grad_enabled():
            return self._checked(x, c)
        return self.memory(x, c, self._checked, form=(self.forward, self.stream, self._number))

    def _check_condition(self, x: Tensor, c: Condition) -> None:
        if isinstance(c, VectorCondition):
            if len(c) != x.shape[0] or c.values.shape[1] != len(self.condition_names):
                raise self.fail(
                    f"got {x.shape[0]} images and conditions {tuple(c.values.shape)}, "
                    f"expected [{x.shape[0]},{len(self.condition_names)}]"
                )
        elif len(c) != x.shape[0]:
            raise self.fail(f"got {x.shape[0]} images and {len(c)} conditions")

    def _checked(self, x: Tensor, c: Condition) -> Tensor:
        y = self.call(self._compute, x, c, **self._streams(x, c))
        # Passes with gradients are an attack's loop, in which a GPU must not wait for every check; what the
        # loop leads to is looked at again without gradients.
        return self.images(y, x, values=x.device.type == "cpu" or not torch.is_grad_enabled())

    def _compute(self, x: Tensor, c: Condition, rng: SampleRng | None = None) -> Tensor:
        if rng is None:
            y: Tensor = in_pieces(lambda i: self.forward(x[i], c[i]), x)
        else:
            y = in_pieces(lambda i: self.forward(x[i], c[i], rng=rng.select(i)), x)
        return y

    def _streams(self, x: Tensor, c: Condition) -> dict[str, Any]:
        if not self.stochastic:
            return {}
        keys = content_keys(self.stream, x, *c.key())
        streams = SampleRng.keyed(keys)
        return {"rng": streams.fork(self._number) if self._number else streams}

    @contextmanager
    def redraw(self, number: int) -> Iterator[None]:
        """Passes with other draws of a stochastic generator, the same ones for the same number; 0 is what
        everybody else gets, and a generator that is not stochastic gives the same for every number."""
        if not self.stochastic:
            yield
            return
        before, self._number = self._number, number
        try:
            yield
        finally:
            self._number = before

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

    def private_copy(self) -> GeneratorHandle:
        """What a component is given: it can ask everything and change nothing."""
        return GeneratorHandle(self)

    def tensors(self) -> tuple[Tensor, ...]:
        """Empty: a handle copies no tensor, of any shape; the network's own are looked at elsewhere."""
        return ()

    def _count(self, images: int) -> None:
        self.passes += images
        if self.told is not None:
            self.told(self.passes)

    def take_passes(self) -> int:
        taken, self.passes = self.passes, 0
        return taken

    def counted(self) -> int:
        return self.passes

    def recount(self, passes: int) -> None:
        self.passes = passes

    def edited(self, c: Condition) -> Tensor:
        """Bool `[B,N]`: the parts that each of B conditions may change, over `PARTS`.

        Raises:
            ComponentError: the generator says something else.
        """
        target: Any = self.call(self.component.edited, c)
        wrong = not isinstance(target, Tensor) or target.dtype != torch.bool
        if wrong or tuple(target.shape) != (len(c), len(self.regions)):
            given = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
            raise self.fail(f"edited returned {given}, expected bool [{len(c)},{len(self.regions)}]")
        found: Tensor = target
        return found

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        c: Any = self.call(self.component.draw, batch, rng)
        if not isinstance(c, Condition):
            raise self.fail(f"drew a {type(c).__name__}, expected a Condition")
        if len(c) != len(batch):
            raise self.fail(f"drew {len(c)} conditions for {len(batch)} images")
        if isinstance(c, VectorCondition) and c.changed.shape[1]:
            expect(c.changed.any(1).all(), lambda: self.fail("drew a condition that changes nothing"))
        return c

    def with_source(self, c: Condition, source: Tensor) -> Condition:
        """Conditions that tell the same, and what other pictures show: a person, a style.

        Args:
            source: `[B,3,h,w]` in [0,1], a picture for each of B conditions.

        Raises:
            ComponentError: the generator takes no other picture, or what it gives is no condition like `c`.
        """
        if not self.takes_source:
            raise self.fail("takes no source picture (with_source)")
        return self._told(c, self.call(self.component.with_source, c, source), "with_source")

    def with_text(self, c: Condition, text: Sequence[str]) -> Condition:
        """Conditions that are texts, one for each of B.

        Raises:
            ComponentError: the generator takes no text, or what it gives is no condition like `c`.
        """
        if not self.takes_text:
            raise self.fail("takes no text (with_text)")
        return self._told(c, self.call(self.component.with_text, c, list(text)), "with_text")

    def _told(self, c: Condition, told: Any, what: str) -> Condition:
        if not isinstance(told, Condition) or len(told) != len(c):
            raise self.fail(f"{what} returned a {type(told).__name__}, expected {len(c)} conditions")
        return told

    def classes(self, c: Condition) -> Sequence[Condition]:
        """Every condition that the faces of `c` could be given; `c` alone where there are no conditions.

        Raises:
            ComponentError: the generator has conditions and does not list them.
        """
        if isinstance(c, VectorCondition) and not self.condition_names:
            return [c]
        if not hasattr(self.component, "classes"):
            raise self.fail("does not list its conditions (classes), which a class-transferable attack needs")
        found: Sequence[Condition] = self.call(self.component.classes, c)
        listed = isinstance(found, list | tuple) and all(isinstance(one, Condition) for one in found)
        if not listed or not found or any(_form(one) != _form(c) for one in found):
            raise self.fail(f"classes returned no conditions for {len(c)} images")
        return found

    def features(self, x: Tensor, c: Condition, layer: int) -> Tensor:
        """One of the component's `features(x, c)`, `[B,C,h,w]`; a pass each.

        Raises:
            ComponentError: the generator has no features, or not so many.
        """
        if not hasattr(self.component, "features"):
            raise self.fail("has no features")
        self._count(x.shape[0])

        def maps_of(x: Tensor, c: Condition) -> Tensor:
            def one(i: slice | list[int]) -> Tensor:
                maps: Sequence[Tensor] = self.component.features(x[i], c[i])
                if not -len(maps) <= layer < len(maps):
                    raise self.fail(f"has {len(maps)} layers of features, there is no layer {layer}")
                return maps[layer]

            return in_pieces(one, x)

        found: Tensor = self.call(maps_of, x, c)
        return found


def _form(c: Condition) -> Any:
    """What the conditions of one generator have in common. Exact masks come from core, not from it."""
    parts = c.key()[:2] if isinstance(c, VectorCondition) else c.key()
    return type(c), [None if part is None else part.shape for part in parts]

"""Core's wrapper around every component: what must always hold is checked here, not in each component.

A wrapped component keeps its call, and a violation or an exception becomes a :class:`ComponentError` that
names the component, its plugin and the shapes at hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.errors import ComponentError, MagdrError, one_line
from magdr_core.functional import PARTS, in_pieces, round_toward
from magdr_core.memory import OutputMemory
from magdr_core.objective import ObjectiveName
from magdr_core.rng import SampleRng
from magdr_core.types import Batch, Condition

_RANGE_SLACK = 1e-4
_BALL_SLACK = 1e-5


class Guard:
    """Common part: attribution, untouched inputs, untouched global state."""

    label: str = ""
    """The registry's label of the component."""

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        self.component = component
        self.where = where
        self.stochastic = stochastic
        self.modules = modules_of(component)
        for module in self.modules:
            module.requires_grad_(False)

    def fail(self, message: str) -> ComponentError:
        return ComponentError(f"{self.where}: {message}")

    @contextmanager
    def watched(self, *images: Tensor) -> Iterator[None]:
        """Attribute exceptions; refuse edits of the inputs, the global RNG and module modes."""
        before = [(t, _version(t), t.detach().clone()) for t in images]
        device = images[0].device if images else torch.device("cpu")
        rng = _global_rng_state(device)
        inner = [m for root in self.modules for m in root.modules()]
        modes = [m.training for m in inner]
        try:
            yield
        except (MagdrError, torch.OutOfMemoryError):
            raise
        except Exception as e:
            shapes = ", ".join("x".join(map(str, t.shape)) for t in images)
            on = f" on {device}" if images else ""
            raise ComponentError(f"{self.where}: failed on {shapes or 'its input'}{on}: {one_line(e)}") from e
        for tensor, version, kept in before:
            if _version(tensor) != version or not _same(tensor, kept):
                raise self.fail("edits its input in place")
        if not _same_rng(rng, _global_rng_state(device)):
            raise self.fail("draws from the global random generator; a stochastic component takes `rng`")
        if modes != [m.training for m in inner]:
            for module, mode in zip(inner, modes, strict=True):
                module.training = mode  # else the next call would find nothing changed, and pass
            raise self.fail("changes the training mode of a network")

    def images(self, y: Any, like: Tensor, what: str = "returned") -> Tensor:
        """Check that `y` is an image batch shaped like `like`, finite and in [0,1]."""
        if not isinstance(y, Tensor):
            raise self.fail(f"{what} a {type(y).__name__}, expected a tensor")
        if y.shape != like.shape:
            raise self.fail(f"{what} shape {tuple(y.shape)}, expected {tuple(like.shape)}")
        if y.dtype != like.dtype or y.device != like.device:
            raise self.fail(f"{what} {y.dtype} on {y.device}, expected {like.dtype} on {like.device}")
        if y.numel() == 0:
            return y
        low, high = (float(v) for v in y.detach().aminmax())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise self.fail(f"{what} NaN or infinite values")
        if low < -_RANGE_SLACK or high > 1 + _RANGE_SLACK:
            raise self.fail(f"{what} values in [{low:.3g}, {high:.3g}], expected [0, 1]")
        return y

    def scores(self, s: Any, shape: tuple[int, ...]) -> Tensor:
        if not isinstance(s, Tensor) or tuple(s.shape) != shape:
            given = tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__
            raise self.fail(f"returned {given}, expected shape {shape}")
        if not torch.isfinite(s.detach()).all():
            raise self.fail("returned NaN or infinite values")
        return s

    def arguments(self, rng: SampleRng | None) -> dict[str, SampleRng]:
        if not self.stochastic:
            return {}
        if rng is None:
            raise self.fail("is stochastic and was called without rng")
        return {"rng": rng}


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

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        if len(c) != x.shape[0] or c.values.shape[1] != len(self.condition_names):
            raise self.fail(
                f"got {x.shape[0]} images and conditions {tuple(c.values.shape)}, "
                f"expected [{x.shape[0]},{len(self.condition_names)}]"
            )
        self.passes += x.shape[0]
        version = _version(x)
        try:
            if self.memory is None or x.device.type != "cpu" or torch.is_grad_enabled():
                y = self._compute(x, c)
            else:
                y = self.memory(x, c, self._compute)
        except (MagdrError, torch.OutOfMemoryError):
            raise
        except Exception as e:
            raise ComponentError(f"{self.where}: failed on {tuple(x.shape)}: {one_line(e)}") from e
        if _version(x) != version:
            raise self.fail("edits its input in place")
        return self.images(y, x)

    def _compute(self, x: Tensor, c: Condition) -> Tensor:
        y: Tensor = in_pieces(lambda i: self.component(x[i], c[i]), x)
        return y

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
        if masks.numel() and float(masks.detach().min()) < -_RANGE_SLACK:
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


def modules_of(component: Any) -> list[nn.Module]:
    if isinstance(component, nn.Module):
        return [component]
    return [v for v in getattr(component, "__dict__", {}).values() if isinstance(v, nn.Module)]


def _version(t: Tensor) -> int:
    return 0 if t.is_inference() else t._version  # tensors of inference mode do not count their edits


def _same(a: Tensor, b: Tensor) -> bool:
    # NaN is not equal to itself: the first test is enough for every sound input, and fast.
    return torch.equal(a, b) or (a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all()))


RngState = tuple[Tensor, Any, Any, Tensor | None]


def _global_rng_state(device: torch.device) -> RngState:
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate(), cuda


def _same_rng(a: RngState, b: RngState) -> bool:
    numpy_same = a[1][2:] == b[1][2:] and np.array_equal(a[1][1], b[1][1])
    cuda_same = a[3] is None or b[3] is None or torch.equal(a[3], b[3])
    return torch.equal(a[0], b[0]) and numpy_same and a[2] == b[2] and cuda_same

"""What holds of every component's call: faults are attributed, and nothing of anybody else's changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from magdr_core.components.protocols import Fittable
from magdr_core.components.regions import Regions, regions_of
from magdr_core.components.rng import SampleRng
from magdr_core.errors import ComponentError
from magdr_core.isolation import global_random
from magdr_core.isolation.containment import contained
from magdr_core.isolation.copies import private, tensors_in
from magdr_core.isolation.expectations import collecting, expect, expect_same

RANGE_SLACK = 1e-4
"""Values may leave their range by so much before it is called a fault."""

IDLE = 0.02
"""Seconds for which a generator is looked at while no component runs, at least."""

COUNTERS: WeakSet[Any] = WeakSet()
"""Objects that count passes, with `counted()` and `recount(...)`: a call that is made again counts once."""


class _Others:
    """Whether another thread was seen to draw from a global generator."""

    draw = False


class Guard:
    """Common part: attribution, private copies, untouched global state."""

    label: str = ""
    """The registry's label of the component."""

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        self.component = component
        self.where = where
        self.stochastic = stochastic
        self.modules = modules_of(component)
        for module in self.modules:
            module.requires_grad_(False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.where}>"

    def fail(self, message: str) -> ComponentError:
        error = ComponentError(f"{self.where}: {message}")
        error.attributed = True
        return error

    def call(
        self, function: Callable[..., Any], *given: Any, free: bool = False, failed: str = "", **named: Any
    ) -> Any:
        """`function(*given, **named)` on private copies of the tensors in there; its result as a copy.

        Args:
            free: it may draw from global generators (which are put back) and change its own networks: fits.
            failed: what is said of an exception instead of the shapes.

        Raises:
            ComponentError: it fails, edits what it was given, draws from a global generator, changes the
                training mode of its networks or the state of the process, or leaves a thread.
        """
        handed, handed_named = private(given), private(named)
        originals, copies = list(tensors_in((given, named))), list(tensors_in((handed, handed_named)))
        versions = [version_of(t) for t in copies]
        streams = {name: v.copy() for name, v in named.items() if isinstance(v, SampleRng)}
        device = next((t.device for t in originals), torch.device("cpu"))
        modes = [(m, m.training) for root in self.modules for m in root.modules()]
        own = global_random.OwnDraws() if _Others.draw and global_random.others_run() else None
        random = global_random.state(device)
        began = time.perf_counter()
        try:
            with own or contextlib.nullcontext():
                result = contained(
                    self.where,
                    lambda: private(function(*handed, **handed_named)),
                    failed=failed or f"failed on {_shapes((*given, *named.values()))}",
                )
        except BaseException:
            if global_random.drawn(random, global_random.state(device)):
                global_random.restore(random)
            _put_back(modes)
            raise
        for original, copy, version in zip(originals, copies, versions, strict=True):
            if version_of(copy) != version:
                raise self.fail("edits its input in place")
            # In an attack's loop an accelerator must not wait; the copy was the component's own anyway.
            if original.device.type == "cpu" or not torch.is_grad_enabled() or collecting():
                expect_same(original, copy, lambda: self.fail("edits its input in place"))
        if global_random.drawn(random, now := global_random.state(device)):
            took = time.perf_counter() - began

            def again() -> None:
                function(*private(given), **{**private(named), **streams})

            if free:
                global_random.restore(random)
            elif not global_random.others_run() or self._drew(own, again, random, now, device, took):
                global_random.restore(random)
                raise self.fail("draws from the global random generator; a stochastic component takes `rng`")
        if _put_back(modes) and not free:
            raise self.fail("changes the training mode of a network")
        return result

    def contained(self, action: Callable[[], Any]) -> Any:
        """What `action` of the component returns, where it is given nothing and may draw as it likes.

        Raises:
            ComponentError: it fails, or changes the state of the process.
        """
        device = torch.device("cpu")
        random = global_random.state(device)
        try:
            return contained(self.where, action)
        finally:
            if global_random.drawn(random, global_random.state(device)):
                global_random.restore(random)

    def _drew(
        self,
        own: global_random.OwnDraws | None,
        again: Callable[[], None],
        before: global_random.State,
        after: global_random.State,
        device: torch.device,
        took: float,
    ) -> bool:
        """Whether the component changed a global generator that has changed while other threads ran."""
        if own is None:
            counted = [(c, c.counted()) for c in COUNTERS]
            own = global_random.OwnDraws()
            try:
                with own:
                    contained(self.where, again)
            except ComponentError:
                pass  # what it has drawn until then is known
            finally:
                for counter, count in counted:
                    counter.recount(count)
        if own.seen:
            return True
        idle = global_random.state(device)
        time.sleep(max(IDLE, took))
        if global_random.drawn(idle, global_random.state(device)):
            _Others.draw = True  # from now on calls are watched while they are made
        # What numpy's generator gave without its functions leaves no other trace than that nobody else drew.
        return before[1] != after[1] and idle[1] == global_random.state(device)[1]

    def tensor(self, y: Any, what: str = "returned") -> Tensor:
        """Check that `y` is a tensor like any other, of any shape: dense, with values that can be read.

        Raises:
            ComponentError: it is not.
        """
        if not isinstance(y, Tensor):
            raise self.fail(f"{what} a {type(y).__name__}, expected a tensor")
        if y.layout != torch.strided or y.is_quantized or y.is_nested:
            raise self.fail(f"{what} a sparse, nested or quantized tensor, expected a dense one")
        return y

    def images(self, y: Any, like: Tensor, what: str = "returned", *, values: bool = True) -> Tensor:
        """Check that `y` is an image batch `[B,3,H,W]` shaped like `like`, finite and in [0,1].

        Args:
            values: look at the values too; on a GPU, outside `expectations.deferred`, that waits for all work
                that was queued.

        Raises:
            ComponentError: it is not; where that is deferred, once it is settled.
        """
        y = self.tensor(y, what)
        if y.shape != like.shape:
            raise self.fail(f"{what} shape {tuple(y.shape)}, expected {tuple(like.shape)}")
        if y.dtype != like.dtype or y.device != like.device:
            raise self.fail(f"{what} {y.dtype} on {y.device}, expected {like.dtype} on {like.device}")
        if y.numel() == 0 or not values:
            return y
        low, high = y.detach().aminmax()

        def wrong() -> ComponentError:
            least, most = float(low), float(high)
            if not (abs(least) < float("inf") and abs(most) < float("inf")):
                return self.fail(f"{what} NaN or infinite values")
            return self.fail(f"{what} values in [{least:.3g}, {most:.3g}], expected [0, 1]")

        expect((low >= -RANGE_SLACK) & (high <= 1 + RANGE_SLACK), wrong)  # never true of NaN
        return y

    def scores(self, s: Any, shape: tuple[int, ...]) -> Tensor:
        """Check that `s` has this shape (`[B]` of a detector, `[B,N]` of a metric) and holds finite numbers.

        Raises:
            ComponentError: it does not.
        """
        if not isinstance(s, Tensor):
            raise self.fail(f"returned {type(s).__name__}, expected shape {shape}")
        s = self.tensor(s)
        if tuple(s.shape) != shape:
            raise self.fail(f"returned {tuple(s.shape)}, expected shape {shape}")
        if s.is_complex() or s.device.type == "meta":
            raise self.fail(f"returned {s.dtype} on {s.device}, expected real numbers")
        expect(torch.isfinite(s.detach()).all(), lambda: self.fail("returned NaN or infinite values"))
        return s

    def declared_regions(self) -> Regions:
        """What the component's masks or targets are over."""
        found: Any = regions_of(self.component)
        if not isinstance(found, Regions):
            raise self.fail(f"regions is a {type(found).__name__}, expected Regions")
        return found

    def arguments(self, rng: SampleRng | None) -> dict[str, Any]:
        if not self.stochastic:
            return {}
        if rng is None:
            raise self.fail("is stochastic and was called without rng")
        return {"rng": rng}


class Fitted(Guard):
    """A detector, defense or attack, which may learn."""

    @property
    def learns(self) -> bool:
        """Whether it has to be fitted, or to load what it was fitted to, before it is called."""
        return self.contained(lambda: isinstance(self.component, Fittable))

    def fit(self, data: Any, G: Any) -> Any:
        """What the component's `fit` returns for a private copy of `data`; nobody has checked it.

        Raises:
            ComponentError: it fails, edits the data, or changes the state of the process.
        """
        return self.call(self.component.fit, data, G, free=True, failed="fitting failed")

    def load(self, state: Mapping[str, Any]) -> None:
        """Have the component take its fitted state.

        Raises:
            ComponentError: it fails, or changes the state of the process.
        """
        self.call(self.component.load, state, free=True, failed="its fitted state cannot be loaded")


def modules_of(component: Any) -> list[nn.Module]:
    if isinstance(component, nn.Module):
        return [component]
    return [v for v in getattr(component, "__dict__", {}).values() if isinstance(v, nn.Module)]


def version_of(t: Tensor) -> int:
    """A number that grows when a tensor, of any shape, is edited in place."""
    return 0 if t.is_inference() else t._version  # tensors of inference mode do not count their edits


def _put_back(modes: Sequence[tuple[nn.Module, bool]]) -> bool:
    """Whether a network was left in another mode; else the next call would find nothing changed, and pass."""
    changed = [(module, mode) for module, mode in modes if module.training != mode]
    for module, mode in changed:
        module.training = mode
    return bool(changed)


def _shapes(given: Sequence[Any]) -> str:
    """The images at hand and their device, in words."""
    tensors = [t for t in given if isinstance(t, Tensor)]
    shapes = ", ".join("x".join(map(str, t.shape)) for t in tensors)
    return f"{shapes} on {tensors[0].device}" if tensors else "its input"

"""What holds of every component's call: faults are attributed, inputs and global state stay as they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.errors import ComponentError, MagdrError, one_line
from magdr_core.rng import SampleRng

RANGE_SLACK = 1e-4
"""Values may leave their range by so much before it is called a fault."""


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
        before = [(t, version_of(t), t.detach().clone()) for t in images]
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
            if version_of(tensor) != version or not _same(tensor, kept):
                raise self.fail("edits its input in place")
        if not _same_rng(rng, _global_rng_state(device)):
            raise self.fail("draws from the global random generator; a stochastic component takes `rng`")
        if modes != [m.training for m in inner]:
            for module, mode in zip(inner, modes, strict=True):
                module.training = mode  # else the next call would find nothing changed, and pass
            raise self.fail("changes the training mode of a network")

    def images(self, y: Any, like: Tensor, what: str = "returned", *, values: bool = True) -> Tensor:
        """Check that `y` is an image batch shaped like `like`, finite and in [0,1].

        Args:
            values: look at the values too; on a GPU that waits for all work that was queued.
        """
        if not isinstance(y, Tensor):
            raise self.fail(f"{what} a {type(y).__name__}, expected a tensor")
        if y.shape != like.shape:
            raise self.fail(f"{what} shape {tuple(y.shape)}, expected {tuple(like.shape)}")
        if y.dtype != like.dtype or y.device != like.device:
            raise self.fail(f"{what} {y.dtype} on {y.device}, expected {like.dtype} on {like.device}")
        if y.numel() == 0 or not values:
            return y
        low, high = (float(v) for v in y.detach().aminmax())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise self.fail(f"{what} NaN or infinite values")
        if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
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


def modules_of(component: Any) -> list[nn.Module]:
    if isinstance(component, nn.Module):
        return [component]
    return [v for v in getattr(component, "__dict__", {}).values() if isinstance(v, nn.Module)]


def version_of(t: Tensor) -> int:
    """A number that grows when a tensor is edited in place."""
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

"""CUDA without a card: components and whole pipelines on a pretended device, every wait of the host noted.

>>> import torch
>>> from magdr_core.testing.fake_cuda import fake_cuda
>>> with fake_cuda() as card:
...     x = torch.rand(2, 3, 8, 8).to("cuda")
...     brightest = float(x.max())
>>> [(event.kind, event.operation) for event in card.events]
[('upload', 'aten._to_copy'), ('wait', 'aten._local_scalar_dense')]

What it shows: operations on tensors of two devices (refused, as a card refuses them), values that the host
reads, blocking copies, double precision, and that the branches for CUDA give what the CPU gives. What it does
not show: the kernels are the CPU's, so neither a card's numbers nor its speed, memory, autocast, streams and
`torch.compile`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType, SimpleNamespace
from typing import Any
from unittest import mock

import torch

from magdr_core.testing.fake_tensors import DEVICE, DOUBLE, UPLOAD, WAIT, FakeCudaMode

__all__ = [
    "DEVICE",
    "DOUBLE",
    "FAKE",
    "SUPPORTED",
    "UPLOAD",
    "WAIT",
    "Event",
    "FakeCard",
    "fake_cuda",
    "with_device",
]

SUPPORTED = hasattr(torch._C, "_ensureCUDADeviceGuardSet")
"""Whether this torch can go without a driver; 2.6 cannot."""

FAKE = "fake-cuda"
"""What commands call the pretended device."""

MEMORY = 2**34
"""Bytes that the pretended device says it has."""

_BENEATH = ("torch", "contextlib", "functools", "unittest", "magdr_core.testing.fake_")
"""Modules whose frames are no one's place in the code."""


@dataclass(frozen=True)
class Event:
    """Something that costs time on a card.

    Attributes:
        kind: `WAIT`, `UPLOAD` or `DOUBLE`.
        operation: torch's name of it.
        place: the function that did it, as `module:qualified.name`.
        line: in that module.
    """

    kind: str
    operation: str
    place: str
    line: int


@dataclass
class FakeCard:
    """The pretended device, and what was done on it."""

    events: list[Event] = field(default_factory=list)

    def places(self, *kinds: str) -> Counter[str]:
        """How often each function did something of these kinds."""
        return Counter(event.place for event in self.events if event.kind in kinds)

    def count(self, *kinds: str) -> int:
        return sum(event.kind in kinds for event in self.events)

    def note(self, kind: str, operation: str) -> None:
        place, line = _place()
        self.events.append(Event(kind, operation, place, line))


@contextmanager
def fake_cuda() -> Iterator[FakeCard]:
    """Within this block torch finds one CUDA device, which needs no card and no driver.

    Tensors that were made there must not leave it. Not for several threads.
    """
    card = FakeCard()
    if not SUPPORTED:
        raise RuntimeError(
            f"torch {torch.__version__} cannot pretend a device without a driver: take a newer one"
        )
    torch._C._ensureCUDADeviceGuardSet()
    lifted = torch._C._only_lift_cpu_tensors()
    # torch.tensor(..., device="cuda") is made on the host, and the copy is seen.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with ExitStack() as stack:
            for name, stand_in in _driver(card).items():
                stack.enter_context(mock.patch.object(torch.cuda, name, stand_in))
            stack.enter_context(FakeCudaMode(card.note))
            yield card
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)


@contextmanager
def with_device(name: str) -> Iterator[str]:
    """The device that a command's option means, pretended within this block if its name is `FAKE`."""
    if name == FAKE:
        with fake_cuda():
            yield str(DEVICE)
    else:
        yield name


def _driver(card: FakeCard) -> dict[str, Any]:
    """What of `torch.cuda` is asked for."""
    states = {"now": torch.zeros(16, dtype=torch.uint8)}

    def set_state(state: torch.Tensor, device: Any = None) -> None:
        states["now"] = state.clone()

    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "fake CUDA device",
        "get_device_capability": lambda device=None: (9, 0),
        "get_device_properties": lambda device=None: SimpleNamespace(total_memory=MEMORY),
        "synchronize": lambda device=None: card.note(WAIT, "synchronize"),
        "empty_cache": lambda: None,
        "get_rng_state": lambda device=None: states["now"].clone(),
        "get_rng_state_all": lambda: [states["now"].clone()],
        "set_rng_state": set_state,
        "set_rng_state_all": lambda found: set_state(found[0]),
    }


def _place() -> tuple[str, int]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_BENEATH):
            return f"{module}:{frame.f_code.co_qualname}", frame.f_lineno
        frame = frame.f_back
    return "", 0

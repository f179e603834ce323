"""The global random generators of torch, numpy and Python: who draws from them.

Components draw from `rng`. That a state has changed is seen at little cost after each call. Where other
threads run it may have been one of them; then the call is made again, on fresh copies, and what it draws
itself is watched (:class:`OwnDraws`), which is too slow to be done always.
"""

from __future__ import annotations

import ctypes
import random
import sys
import threading
from types import CodeType, FrameType
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

State = tuple[Any, ...]

_MT19937_BYTES = 625 * 4
"""The key of 624 words and the position in it."""


def state(device: torch.device) -> State:
    """What all global generators are at, those of `device` included."""
    return torch.get_rng_state(), _numpy_state(), random.getstate(), _cuda_state(device)


def _numpy_state() -> Any:
    generator = np.random.mtrand._rand._bit_generator
    if isinstance(generator, np.random.MT19937):
        # A hundred times as fast as `get_state`.
        return ctypes.string_at(generator.ctypes.state_address, _MT19937_BYTES)
    return generator, repr(generator.state)


def _cuda_state(device: torch.device) -> Any:
    """Seed and offset, which are kept on the CPU: the device is not asked."""
    generators = torch.cuda.default_generators
    if device.type != "cuda" or not generators:
        return None
    one = generators[torch.cuda.current_device() if device.index is None else device.index]
    return device, one.initial_seed(), one.get_offset()


def drawn(before: State, now: State) -> bool:
    return not torch.equal(before[0], now[0]) or before[1:] != now[1:]


def restore(before: State) -> None:
    """Put the states of a CPU's generators back, and the position of CUDA's."""
    torch.set_rng_state(before[0])
    if isinstance(before[1], bytes):
        words = np.frombuffer(before[1], dtype=np.uint32)
        np.random.set_state(("MT19937", words[:624], int(words[624]), 0, 0.0))
    random.setstate(before[2])
    if before[3] is not None:
        device, seed, offset = before[3]
        one = torch.cuda.default_generators[
            torch.cuda.current_device() if device.index is None else device.index
        ]
        one.manual_seed(seed)
        one.set_offset(offset)


def others_run() -> bool:
    """Whether Python threads besides this one are alive."""
    return threading.active_count() > 1


class OwnDraws(TorchDispatchMode):
    """Notes what this thread draws from the global generators while it is open.

    torch's random operations are seen as they are dispatched, Python's as calls in this thread, numpy's by
    stand-ins for the functions of `numpy.random`.
    """

    _SEEDING: ClassVar[set[CodeType]] = {
        f.__code__
        for f in (torch.random.manual_seed, torch.random.set_rng_state, torch.random.seed)
        if hasattr(f, "__code__")
    }

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self._me = threading.get_ident()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            given = any(isinstance(a, torch.Generator) for a in args)
            if not given and not (func is torch.ops.aten.native_dropout.default and args[2] is False):
                self.seen.add("torch")
        return func(*args, **kwargs)

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            if getattr(arg, "__self__", None) is random._inst:
                if arg.__name__ != "getstate":  # which guards of inner components ask for
                    self.seen.add("Python")
            elif getattr(arg, "__self__", None) is torch.default_generator and arg.__name__ in (
                "manual_seed",
                "seed",
                "set_state",
                "set_offset",
            ):
                self.seen.add("torch")
        elif event == "call" and frame.f_code in self._SEEDING:
            self.seen.add("torch")

    def __enter__(self) -> OwnDraws:
        self._numpy = _numpy_functions()
        for name, function in self._numpy.items():
            setattr(np.random, name, self._noting(function))
        self._profiled = sys.getprofile()
        super().__enter__()
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *exc: Any) -> None:
        sys.setprofile(self._profiled)
        super().__exit__(*exc)
        for name, function in self._numpy.items():
            setattr(np.random, name, function)

    def _noting(self, function: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == self._me:
                self.seen.add("numpy")
            return function(*args, **kwargs)

        return noted


def _numpy_functions() -> dict[str, Any]:
    """The functions of `numpy.random` that draw from, or seed, its global generator."""
    own = np.random.mtrand._rand
    found = {n: f for n, f in vars(np.random).items() if getattr(f, "__self__", None) is own}
    quiet = ("get_state", "get_bit_generator")
    return {n: f for n, f in {**found, "seed": np.random.seed}.items() if n not in quiet}


class SeededDraws(TorchDispatchMode):
    """Draws of this thread come from a generator of its own, with the bits that the global one gives for the
    same seed: for building networks while other threads may draw from the global one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            if any(argument.name == "generator" for argument in func._schema.arguments):
                kwargs["generator"] = self._generator
            elif hasattr(func.overloadpacket, "generator"):
                func, kwargs["generator"] = func.overloadpacket.generator, self._generator
        return func(*args, **kwargs)

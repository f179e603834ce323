"""Watching a call: what it does to its inputs, to networks and to the global random generators."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.errors import one_line
from magdr_core.testing.inputs import Inputs

_OPAQUE = (type, ModuleType, FunctionType, Tensor, str, bytes, int, float)
_PLAIN = frozenset({*_OPAQUE, BuiltinFunctionType, NoneType, bool})
"""Types of most things that are looked at, which are told apart sooner than by `isinstance`."""


@dataclass
class WatchedCall:
    """What happened in one call.

    Attributes:
        output: the result; None after an exception.
        error: the exception.
        edited: a line per input that is not what it was.
        drew: the global generators that were drawn from.
        networks: a line per network that is not what it was.
    """

    inputs: Inputs
    output: Any = None
    error: BaseException | None = None
    edited: list[str] = field(default_factory=list)
    drew: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)

    @property
    def failure(self) -> str:
        """The exception in words, with the shape at hand; empty if there was none."""
        return "" if self.error is None else f"fails on {self.inputs.shape}: {one_line(self.error)}"


def find_networks(roots: Iterable[Any]) -> list[nn.Module]:
    """The networks in these objects, their attributes, their containers and their bound arguments."""
    found: list[nn.Module] = []
    seen: set[int] = set()
    todo = [(root, 0) for root in roots]
    while todo:
        one, depth = todo.pop()
        if type(one) in _PLAIN or id(one) in seen or depth > 4 or isinstance(one, _OPAQUE):
            continue
        seen.add(id(one))
        if isinstance(one, nn.Module):
            found.append(one)
        elif isinstance(one, (dict, Mapping)):  # in this order: the second question is a slow one
            todo += [(value, depth + 1) for value in one.values()]
        elif isinstance(one, list | tuple):
            todo += [(value, depth + 1) for value in one]
        elif isinstance(one, partial):
            todo += [(value, depth + 1) for value in (one.func, *one.args, *one.keywords.values())]
        elif hasattr(one, "__dict__"):
            todo += [(value, depth + 1) for value in vars(one).values()]
    return found


def edit(name: str, before: Tensor, after: Tensor) -> str | None:
    """How a tensor of any shape was edited by what it was given to, in words; None if it was not.

    Args:
        name: what the message calls it.
        before, after: a copy that was made first, and the tensor.
    """
    if after.requires_grad or after.grad is not None:
        return f"makes its {name} require a gradient; detach them first"
    if after.shape != before.shape:
        return f"edits its {name} in place: shape {tuple(after.shape)}, was {tuple(before.shape)}"
    wrong = after != before
    if not bool(wrong.any()):
        return None
    at = tuple(wrong.nonzero()[0].tolist())
    return (
        f"edits its {name} in place: {float(after[at]):.4g} at {list(at)}, was {float(before[at]):.4g}"
        f" ({int(wrong.sum())} values)"
    )


@contextmanager
def global_generators(world: int) -> Iterator[list[str]]:
    """Seed torch's, numpy's and Python's generators; the list names those that were drawn from. Afterwards
    they are as before."""
    drew: list[str] = []
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    # Not by `torch.manual_seed`: for devices that are not in use it notes where it was called from, which
    # takes as long as many a component.
    torch.default_generator.manual_seed(world)
    if cuda is not None:
        torch.cuda.manual_seed_all(world)
    np.random.seed(world)
    random.seed(world)
    numpy_before: Any = np.random.get_state(legacy=True)
    before = torch.get_rng_state(), random.getstate()
    cuda_before = torch.cuda.get_rng_state_all() if cuda is not None else []
    try:
        yield drew
    finally:
        numpy_now: Any = np.random.get_state(legacy=True)
        if not torch.equal(torch.get_rng_state(), before[0]):
            drew.append("torch's")
        if not (np.array_equal(numpy_now[1], numpy_before[1]) and numpy_now[2:] == numpy_before[2:]):
            drew.append("numpy's")
        if random.getstate() != before[1]:
            drew.append("Python's")
        if cuda is not None:
            now = torch.cuda.get_rng_state_all()
            if not all(torch.equal(a, b) for a, b in zip(now, cuda_before, strict=True)):
                drew.append("CUDA's")
            torch.cuda.set_rng_state_all(cuda)
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


class Network:
    """A network as it was before a call."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module = name, module
        self.modes = {name: m.training for name, m in module.named_modules()}
        self.values = {name: t.detach().clone() for name, t in _state(module).items()}
        self.versions = {name: t._version for name, t in _state(module).items()}

    def restore(self) -> list[str]:
        """Put it back as it was; a line per kind of change."""
        lines = []
        for name, m in self.module.named_modules():
            if name in self.modes and m.training != self.modes[name]:
                mode = "training" if m.training else "evaluation"
                lines.append(f"leaves {self.name} in {mode} mode ({name or type(m).__name__})")
                break
        for name, m in self.module.named_modules():
            m.training = self.modes.get(name, m.training)
        now = _state(self.module)
        changed = [n for n, t in now.items() if n in self.versions and self._changed(n, t)]
        if changed:
            lines.append(f"changes {changed[0]!r} of {self.name}")
        with torch.no_grad():
            for name in changed:
                now[name].copy_(self.values[name])
        for name, parameter in self.module.named_parameters():
            if parameter.grad is not None or parameter.requires_grad:
                lines.append(f"leaves a gradient on {name!r} of {self.name}")
                break
        self.module.requires_grad_(False)
        for parameter in self.module.parameters():
            parameter.grad = None
        return lines

    def _changed(self, name: str, now: Tensor) -> bool:
        return now._version != self.versions[name] and not torch.equal(now, self.values[name])


def _state(module: nn.Module) -> Mapping[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())

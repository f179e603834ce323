"""Parts of a process's state that belong to Python itself, and functions that everybody calls.

:mod:`magdr_core.isolation.process_state` reads and restores them with the others.
"""

from __future__ import annotations

import builtins
import json
import logging
import operator
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


# -- functions that were replaced ------------------------------------------------------------------------

_CALLED: tuple[tuple[Any, str], ...] = (
    (torch, "cat stack where equal tensor zeros ones empty zeros_like ones_like empty_like full arange"),
    (torch, "linspace from_numpy frombuffer isfinite no_grad minimum maximum clamp mean sum median sort"),
    (torch, "matmul einsum sigmoid"),
    (F, "conv2d conv_transpose2d interpolate pad avg_pool2d max_pool2d relu softmax grid_sample mse_loss"),
    (Tensor, "clone copy_ detach to float double cpu numpy tolist item mean sum amax amin aminmax abs"),
    (Tensor, "square sqrt clamp clamp_min clamp_max flatten reshape view min max median any all"),
    (Tensor, "__add__ __sub__ __mul__ __truediv__ __getitem__ __setitem__ __lt__ __le__ __gt__ __ge__"),
    (nn.Module, "__call__ __getattr__ parameters buffers modules named_parameters state_dict"),
    (np, "concatenate asarray array mean median quantile sort frombuffer"),
    (json, "dumps loads dump load"),
    (builtins, "print open len sum min max abs round sorted zip enumerate isinstance getattr setattr iter"),
)
"""By owner the functions that results, or what is said of them, depend on most."""

_NAMES: list[tuple[Any, list[str]]] = []
_GETTERS: list[tuple[Any, Callable[[Any], Any]]] = []
_INHERITED: set[tuple[Any, str]] = set()


def watch(owner: Any, names: Sequence[str]) -> None:
    """Have more functions watched, two at least: those of a class or module that components are given."""
    _NAMES.append((owner, list(names)))
    _GETTERS.append((owner, operator.attrgetter(*names)))
    if isinstance(owner, type):
        _INHERITED.update((owner, name) for name in names if name not in vars(owner))


for _owner, _names in _CALLED:
    watch(_owner, _names.split())


def called() -> tuple[Any, ...]:
    """What the functions are at present."""
    try:
        return tuple(get(owner) for owner, get in _GETTERS)
    except AttributeError:  # one was taken away
        return tuple(tuple(getattr(owner, n, None) for n in names) for owner, names in _NAMES)


def restore_called(before: tuple[Any, ...]) -> None:
    for (owner, names), kept in zip(_NAMES, before, strict=True):
        for name, function in zip(names, kept, strict=True):
            if getattr(owner, name, None) is function:
                continue
            if (owner, name) in _INHERITED:
                type.__delattr__(owner, name)
            elif isinstance(owner, type):
                type.__setattr__(owner, name, function)
            else:
                setattr(owner, name, function)


# -- hooks, timers, limits -------------------------------------------------------------------------------


def told() -> tuple[Any, ...]:
    """Who is told of what ends badly, and of every call."""
    return sys.excepthook, threading.excepthook, sys.unraisablehook, sys.gettrace(), sys.getprofile()


def restore_told(before: tuple[Any, ...]) -> None:
    sys.excepthook, threading.excepthook, sys.unraisablehook = before[:3]
    sys.settrace(before[3])
    sys.setprofile(before[4])


def said() -> tuple[Any, ...]:
    """Whether warnings and log messages are shown, and how."""
    return warnings.showwarning, logging.root.manager.disable


def restore_said(before: tuple[Any, ...]) -> None:
    warnings.showwarning, logging.root.manager.disable = before


def search_path() -> list[str]:
    return list(sys.path)


def restore_search_path(before: list[str]) -> None:
    sys.path[:] = before


_TIMERS = [getattr(signal, n) for n in ("ITIMER_REAL",) if hasattr(signal, n)]


def timers() -> tuple[bool, ...]:
    """Which timers run: their signals would end the process, whenever."""
    return tuple(signal.getitimer(t)[0] > 0 for t in _TIMERS)


def restore_timers(before: tuple[bool, ...]) -> None:
    for timer, ran in zip(_TIMERS, before, strict=True):
        if not ran:
            signal.setitimer(timer, 0)


_LIMITS = [
    getattr(resource, name)
    for name in ("RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_AS")
    if hasattr(resource, name)
]


def limits() -> tuple[Any, ...]:
    """What the process may use of files, memory and time."""
    return tuple(resource.getrlimit(limit) for limit in _LIMITS)


def restore_limits(before: tuple[Any, ...]) -> None:
    for limit, (soft, _) in zip(_LIMITS, before, strict=True):
        hard = resource.getrlimit(limit)[1]  # a lowered hard one cannot be raised again
        resource.setrlimit(limit, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


PARTS: tuple[tuple[str, Callable[[], Any], Callable[[Any], Any], bool], ...] = (
    ("functions of torch, numpy or Python", called, restore_called, False),
    ("hooks of the interpreter", told, restore_told, False),
    ("whether messages are shown", said, restore_said, False),
    ("the search path of modules", search_path, restore_search_path, True),
    ("timers", timers, restore_timers, False),
    ("limits of the process", limits, restore_limits, False),
)
"""Name, read, restore, and whether it is put back without a word: libraries extend the path."""

"""What a component shares with the whole process: read before it is called, compared and put back after.

One table. Reading all of it takes some microseconds, so every guarded call does.
"""

from __future__ import annotations

import contextlib
import gc
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.utils._device as device_context
from torch.nn.modules import module as nn_module
from torch.overrides import _pop_mode as _pop_function_mode
from torch.utils._python_dispatch import _pop_mode as _pop_dispatch_mode

from magdr_core.isolation import interpreter_state, streams

_OWN_VARIABLES = ("TORCH", "PYTORCH", "TRITON", "KINETO", "CUDA_MODULE", "KMP_", "NCCL")
"""Prefixes of environment variables that torch sets itself when parts of it are first used."""

_HOOKS: tuple[dict[Any, Any], ...] = tuple(
    found
    for name in (
        "_global_forward_hooks",
        "_global_forward_pre_hooks",
        "_global_backward_hooks",
        "_global_backward_pre_hooks",
        "_global_module_registration_hooks",
        "_global_buffer_registration_hooks",
        "_global_parameter_registration_hooks",
    )
    if (found := getattr(nn_module, name, None)) is not None
)

_TINY, _ONE = 5e-324, 1.0


@dataclass(frozen=True)
class StatePart:
    """A part of the process's state.

    Attributes:
        name: as it stands in `changes ...`.
        restore: given what `read` had returned.
        silent: put back without a word: libraries change it when they are first imported.
    """

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], Any]
    silent: bool = False


# -- reading and restoring what takes more than one call -------------------------------------------------


def _default_device() -> Any:
    return device_context.CURRENT_DEVICE


def _restore_device(before: Any) -> None:
    torch.set_default_device(before)
    device_context.CURRENT_DEVICE = before  # else a `with torch.device(...)` that was never left stays


def _modes() -> tuple[int, int]:
    return torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()


def _restore_modes(before: tuple[int, int]) -> None:
    while torch._C._len_torch_function_stack() > before[0]:
        _pop_function_mode()
    while torch._C._len_torch_dispatch_stack() > before[1]:
        _pop_dispatch_mode()


_held: list[Any] = []


def _restore_inference(before: bool) -> None:
    guard = torch._C._InferenceMode(before)
    guard.__enter__() if hasattr(guard, "__enter__") else None
    _held.append(guard)  # it ends with the object


def _autocast() -> tuple[Any, ...]:
    return tuple((torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda"))


def _restore_autocast(before: tuple[Any, ...]) -> None:
    for device, (enabled, dtype) in zip(("cpu", "cuda"), before, strict=True):
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


_FLAGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = tuple(
    (getattr(torch._C, f"_get_{name}"), getattr(torch._C, f"_set_{name}"))
    for name in (
        "cudnn_deterministic",
        "cudnn_benchmark",
        "cudnn_enabled",
        "mkldnn_enabled",
        "float32_matmul_precision",
    )
    if hasattr(torch._C, f"_get_{name}") and hasattr(torch._C, f"_set_{name}")
)


def _flags() -> tuple[Any, ...]:
    return (torch.get_deterministic_debug_mode(), *(read() for read, _ in _FLAGS))


def _restore_flags(before: tuple[Any, ...]) -> None:
    torch.set_deterministic_debug_mode(before[0])
    for (read, write), value in zip(_FLAGS, before[1:], strict=True):
        if read() != value:
            write(value)


def _tf32() -> Any:
    try:
        return torch._C._get_cublas_allow_tf32(), torch._C._get_cudnn_allow_tf32()
    except RuntimeError:  # torch refuses to say where its older and newer settings are mixed
        return None


def _restore_tf32(before: Any) -> None:
    if before is not None:
        torch._C._set_cublas_allow_tf32(before[0])
        torch._C._set_cudnn_allow_tf32(before[1])


def _flushes() -> bool:
    return _TINY * _ONE == 0.0


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _restore_folder(before: str | None) -> None:
    if before is not None:
        with contextlib.suppress(OSError):  # it may be gone: nobody can go back there
            os.chdir(before)


def _environment() -> dict[Any, Any]:
    data: Any = getattr(os.environ, "_data", None)
    return dict(os.environ) if data is None else data.copy()


def _foreign(before: dict[Any, Any], now: dict[Any, Any]) -> list[Any]:
    """Variables that were changed, taken away or added, but not by torch; the same both ways round."""
    changed = [name for name in {*before, *now} if before.get(name) != now.get(name)]
    return [n for n in changed if (n in before and n in now) or not os.fsdecode(n).startswith(_OWN_VARIABLES)]


class _Environment(dict[Any, Any]):
    """Equal where nothing differs that a component is answerable for."""

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self, other) or (isinstance(other, dict) and not _foreign(self, other))

    def __ne__(self, other: object) -> bool:  # dict has one of its own
        return not self == other

    __hash__ = None


def _read_environment() -> dict[Any, Any]:
    return _Environment(_environment())


def _restore_environment(before: dict[Any, Any]) -> None:
    for name in _foreign(before, _environment()):
        if name in before:
            os.environ[os.fsdecode(name)] = os.fsdecode(before[name])
        else:
            os.environ.pop(os.fsdecode(name), None)


_getsignal: Callable[[int], Any] = import_module("_signal").getsignal
"""Without the enum of the public one, which is forty times as slow."""

_SIGNALS = [int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)]


def _handlers() -> tuple[Any, ...]:
    return tuple(_getsignal(number) for number in _SIGNALS)


def _restore_handlers(before: tuple[Any, ...]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip(_SIGNALS, before, strict=True):
            if handler is not None:
                signal.signal(number, handler)


def _hooks() -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(found) for found in _HOOKS)


def _restore_hooks(before: tuple[tuple[Any, ...], ...]) -> None:
    for found, kept in zip(_HOOKS, before, strict=True):
        for name in [name for name in found if name not in kept]:
            del found[name]


def _restore_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    warnings._filters_mutated() if hasattr(warnings, "_filters_mutated") else None


def _set_collecting(enabled: bool) -> None:
    if enabled:
        gc.enable()
    else:
        gc.disable()


PARTS: tuple[StatePart, ...] = (
    StatePart("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    StatePart("torch's default device", _default_device, _restore_device),
    StatePart("torch's modes", _modes, _restore_modes),
    StatePart("torch's inference mode", torch.is_inference_mode_enabled, _restore_inference),
    StatePart("whether torch keeps gradients", torch.is_grad_enabled, torch._C._set_grad_enabled),
    StatePart("torch's autocast", _autocast, _restore_autocast),
    StatePart("torch's flags of arithmetic", _flags, _restore_flags),
    StatePart("torch's flags of TF32", _tf32, _restore_tf32),
    StatePart("how tiny numbers are treated", _flushes, torch.set_flush_denormal),
    StatePart("torch's anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    StatePart("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    StatePart("hooks of all networks", _hooks, _restore_hooks),
    StatePart("numpy's treatment of errors", np.geterr, lambda before: np.seterr(**before)),
    StatePart("the working directory", _folder, _restore_folder),
    StatePart("environment variables", _read_environment, _restore_environment),
    StatePart("the standard streams", streams.read, streams.restore),
    StatePart("signal handlers", _handlers, _restore_handlers),
    StatePart("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    StatePart("garbage collection", gc.isenabled, _set_collecting),
    StatePart(
        "the locale", lambda: locale.setlocale(locale.LC_ALL), lambda b: locale.setlocale(locale.LC_ALL, b)
    ),
    StatePart("the filters of warnings", lambda: list(warnings.filters), _restore_filters, silent=True),
    *(StatePart(name, read, restore, silent) for name, read, restore, silent in interpreter_state.PARTS),
)

Snapshot = tuple[Any, ...]


def snapshot() -> Snapshot:
    """The state of this process at present."""
    streams.keep()
    return tuple(part.read() for part in PARTS)


def put_back(before: Snapshot, leave: Container[str] = ()) -> list[str]:
    """Make the state what it was, but for the parts of these names; the names of what had been changed."""
    changed = []
    for part, kept in zip(PARTS, before, strict=True):
        if part.name not in leave and part.read() != kept:
            part.restore(kept)
            if not part.silent:
                changed.append(part.name)
    return changed


def arithmetic() -> tuple[Any, ...]:
    """What decides the last digits of a result besides its inputs, at this moment."""
    return (
        torch.get_default_dtype(),
        _default_device(),
        _autocast(),
        _flags(),
        _tf32(),
        _flushes(),
        torch.get_num_threads(),
        _modes(),
    )


def named(changed: Sequence[str]) -> str:
    """`a, b and c`."""
    return changed[0] if len(changed) == 1 else f"{', '.join(changed[:-1])} and {changed[-1]}"

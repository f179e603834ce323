"""Matching a state dict's keys with a network's: wrappers' prefixes, what is missing, what is too much."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from magdr_core.errors import WeightsError
from magdr_core.files.checkpoint import shown

WRAPPERS = ("module", "_orig_mod")
"""Parts of keys that `DataParallel`, `DistributedDataParallel` and `torch.compile` leave, at any depth."""

OWNERS = ("model.", "generator.", "netG.", "net.", "G.")
"""Beginnings of all keys where a program saved the object that held the network."""

SHOWN = 3
"""Keys of each kind of fault that a message names."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTS = (torch.int32, torch.int64)


def unwrapped(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state under the names that its network has without wrappers around it; tensors of any shape.

    Whatever is a part of the wanted network's own names stays.

    Raises:
        WeightsError: two keys come to the same name, so that nobody can tell which is meant.
    """
    own = {part for key in wanted for part in key.split(".")}
    wrappers = {part for part in WRAPPERS if part not in own}
    found: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for key, value in state.items():
        name = ".".join(part for part in key.split(".") if part not in wrappers)
        if name in origin:
            raise WeightsError(f"holds {shown(name)} twice: as {shown(origin[name])} and as {shown(key)}")
        found[name], origin[name] = value, key
    for owner in OWNERS * 2:  # one may be inside another
        if found and all(k.startswith(owner) for k in found) and not any(k.startswith(owner) for k in wanted):
            found = {key.removeprefix(owner): value for key, value in found.items()}
    return found


def faults_between(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """What keeps a state (tensors of any shape, by name) from being loaded: of each kind of fault the first
    few. Empty if it fits."""
    both = [k for k in wanted if k in state]
    kinds = {
        "missing": [f"missing {k}" for k in wanted if k not in state],
        "unexpected": [f"unexpected {shown(k)}" for k in state if k not in wanted],
        "of another shape": [
            f"{k} is {tuple(state[k].shape)}, expected {tuple(wanted[k].shape)}"
            for k in both
            if state[k].shape != wanted[k].shape
        ],
        "of another type": [
            f"{k} is {_dtype(state[k])}, expected {_dtype(wanted[k])}"
            for k in both
            if not (state[k].dtype in _FLOATS if wanted[k].is_floating_point() else state[k].dtype in _COUNTS)
        ],
    }
    told = []
    for kind, faults in kinds.items():
        told += faults[:SHOWN]
        if len(faults) > SHOWN:
            told[-1] += f" and {len(faults) - SHOWN} more {kind}"
    return told


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

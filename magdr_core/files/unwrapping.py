"""The state dict inside a checkpoint that holds more: an optimiser, counters, other networks, averages."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from magdr_core.errors import WeightsError, suggestion
from magdr_core.files.checkpoint import check_dense, file_sha256, listed, read_content, shown
from magdr_core.files.disk import write_atomically

DEPTH = 4
"""Dictionaries inside each other that are looked into."""

CALLS = 12
"""Functions that a file is refused for and that are named."""

WRAPPERS = ("module.", "_orig_mod.")
"""Beginnings of all keys that `DataParallel`, `DistributedDataParallel` and `torch.compile` leave."""

_AVERAGE = re.compile(r"(^|[._])(ema|swa|avg|averaged?)([._]|$)", re.IGNORECASE)
_PLAIN = (Tensor, int, float, str, type(None))


@dataclass(frozen=True)
class Unwrapped:
    """A state dict that was found.

    Attributes:
        state: tensors of any shape.
        place: names of the dictionaries around it, joined by dots; empty where it was the whole file.
        others: places of the other state dicts in the file.
        left_out: keys beside the tensors that hold numbers or texts.
    """

    state: Mapping[str, Tensor]
    place: str
    others: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def unwrap(path: Path, *, key: str | None = None, prefix: str = "") -> Unwrapped:
    """Read a checkpoint and take the state dict out of it. Nothing in the file is run.

    Args:
        path: any form that :func:`~magdr_core.files.checkpoint.read_content` reads.
        key: which one, by its place; needed where there are several. A moving average (`ema`, `swa` in its
            name) is taken only if it is named or the only one.
        prefix: take the keys that begin with it alone, without it.

    Raises:
        WeightsError: what cannot be read, or only by running code, which is named; no state dict, several,
            or none at `key`; no key with `prefix`.
    """
    content = read_content(path, calls=CALLS)
    found = dict(_states(content))
    place = _chosen(found, key, content, path)
    values = found[place]
    state = {k: v.detach() for k, v in values.items() if isinstance(v, Tensor)}
    check_dense(state, path)
    for wrapper in WRAPPERS * 2:  # one may be inside another
        if all(k.startswith(wrapper) and k != wrapper for k in state):
            state = {k.removeprefix(wrapper): v for k, v in state.items()}
    if prefix:
        starts = sorted({k.partition(".")[0] + "." for k in state})
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix) and k != prefix}
        if not state:
            known = listed([shown(s) for s in starts])
            raise WeightsError(f"{path.name}: no key begins with {prefix!r}; they begin with {known}")
    left_out = tuple(k for k, v in values.items() if not isinstance(v, Tensor))
    return Unwrapped(state, place, tuple(p for p in found if p != place), left_out)


def save_unwrapped(found: Unwrapped, source: Path, out: Path) -> str:
    """Write a state dict as a safetensors file whose metadata names the file that it is from.

    Returns:
        The written file's sha256.

    Raises:
        WeightsError: `out` is there already, or a tensor has a type that safetensors files do not.
        WriteError: it cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise WeightsError(f"{out} is there already, and stays as it is; choose another name")
    about = {"file": source.name, "sha256": file_sha256(source), "key": found.place}
    metadata = {"converted_from": json.dumps(about)}  # as one entry: of several the order is not fixed
    tensors = {k: v.clone().contiguous() for k, v in found.state.items()}  # some share what they hold

    def write(partial: Path) -> None:
        try:
            save_file(tensors, str(partial), metadata)
        except (SafetensorError, ValueError, KeyError) as e:
            raise WeightsError(f"{source.name} cannot be written as safetensors: {e}") from None

    write_atomically(out, write)
    with out.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _states(content: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, values) of every dictionary of tensors, which may hold numbers and texts besides."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        return
    tensors = any(isinstance(value, Tensor) for value in content.values())
    if tensors and all(isinstance(value, _PLAIN) for value in content.values()):
        yield ".".join(place), content
    elif len(place) < DEPTH:
        for key, value in content.items():
            yield from _states(value, (*place, key))


def _chosen(found: Mapping[str, Mapping[str, Any]], key: str | None, content: Any, path: Path) -> str:
    places = {place: f"{shown(place)} ({len(state)} entries)" for place, state in found.items() if place}
    if key is not None:
        if key not in places:
            whole = "; the file is one state dict, leave --key out" if "" in found else ""
            raise WeightsError(f"{path.name} has no state dict {key!r}{whole or suggestion(key, places)}")
        return key
    plain = [place for place in found if not _AVERAGE.search(place)]
    if len(found) == 1 or len(plain) == 1:
        return plain[0] if plain else next(iter(found))
    if not found:
        named = listed([shown(str(k)) for k in content]) if isinstance(content, Mapping) else None
        holds = type(content).__name__ if named is None else named
        raise WeightsError(f"{path.name} holds no state dict, but {holds or 'nothing'}")
    raise WeightsError(
        f"{path.name} holds several state dicts; name one with --key: {listed([*places.values()])}"
    )

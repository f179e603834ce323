"""What loading a pickle would call, read from its bytes without loading it."""

from __future__ import annotations

import os
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

MOST = 2**26
"""Bytes of a pickle that are looked through."""

_TORCH_STREAM = b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""How files of torch's older stream begin: a pickle of one number."""

_HARMLESS = ("collections.OrderedDict", "torch._utils._rebuild_tensor")


def forbidden_calls(path: Path, *, archive: bool) -> list[str]:
    """Names of functions and classes that torch does not allow in a checkpoint, each once.

    Args:
        archive: it is torch's zip archive, else a stream or a pickle that is none of torch's.

    Returns:
        An empty list where nothing of that kind can be told, as of torch's older stream.
    """
    try:
        if archive:
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(os.fspath(path)))
        with path.open("rb") as f:
            if path.stat().st_size > MOST or f.read(len(_TORCH_STREAM)) == _TORCH_STREAM:
                return []
            f.seek(0)
            return sorted({name for name in _named(f) if not name.startswith(_HARMLESS)})
    except Exception:  # a damaged pickle can fail in any way
        return []


def _named(f: BinaryIO) -> Iterator[str]:
    """The globals of a pickle; what names one by two texts that were pushed before, by those."""
    pushed = ["", ""]
    kept: dict[int, str] = {}
    for code, argument, _ in pickletools.genops(f):
        name = code.name
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif name == "STACK_GLOBAL":
            yield ".".join(pushed)
        elif name == "MEMOIZE":
            kept[len(kept)] = pushed[-1]
        elif name.endswith("PUT"):
            kept[int(str(argument))] = pushed[-1]
        elif name.endswith("GET"):
            pushed = [pushed[-1], kept.get(int(str(argument)), "")]
        elif isinstance(argument, str):
            pushed = [pushed[-1], argument]

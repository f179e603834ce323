"""Tensors as a component finds them that searches with the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

_spared: list[Tensor] = []


def tensors() -> Iterator[Tensor]:
    """All tensors of this process but those that are spared."""
    others = {id(one) for one in _spared}
    for one in gc.get_objects():
        if type(one) in (Tensor, nn.Parameter) and id(one) not in others:
            yield one


@contextmanager
def sparing_what_there_is() -> Iterator[None]:
    """Leave out what was there before: fixtures, which other tests share."""
    _spared[:] = [one for one in gc.get_objects() if type(one) in (Tensor, nn.Parameter)]
    try:
        yield
    finally:
        _spared.clear()

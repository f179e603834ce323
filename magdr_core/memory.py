"""Remembering what a generator made of an image, so that components that ask the same share the answer.

Detectors with the same f_k measure the same passes, and a search begins with the images that the detector has
just seen. On a CPU a pass costs a hundred times the hash of its input; on a GPU the hash would cost a round
trip, so there nothing is remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from magdr_core.types import Condition

Compute = Callable[[Tensor, Condition], Tensor]


class OutputMemory:
    """The latest outputs, by the content of image and condition.

    Args:
        capacity: bytes of outputs that are kept; the ones asked for longest ago go first.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held = 0
        self._outputs: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, x: Tensor, c: Condition, compute: Compute) -> Tensor:
        """`compute(x, c)`, of the images only that are not remembered.

        `compute` must give an image the same output in any batch.
        """
        keys = [_key(image, values) for image, values in zip(x, c.values, strict=True)]
        found = {key: self._outputs[key] for key in keys if key in self._outputs}
        wanted = {key: i for i, key in enumerate(keys) if key not in found}
        if wanted:
            rows = torch.tensor(list(wanted.values()))
            # Kept apart, so that a forgotten output frees its memory.
            computed = {k: y.clone() for k, y in zip(wanted, compute(x[rows], c[rows]), strict=True)}
            found |= computed
            for key, y in computed.items():
                self._outputs[key] = y
                self.held += y.nbytes
        for key in found:
            if key in self._outputs:
                self._outputs.move_to_end(key)
        while self.held > self.capacity:
            self.held -= self._outputs.popitem(last=False)[1].nbytes
        return torch.stack([found[key] for key in keys]) if keys else compute(x, c)


def _key(image: Tensor, values: Tensor) -> bytes:
    told = hashlib.blake2b(image.contiguous().numpy().data, digest_size=16)
    told.update(str(tuple(image.shape)).encode())
    told.update(values.contiguous().numpy().tobytes())
    return told.digest()

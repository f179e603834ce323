"""Remembering what a generator made of an image, so that components that ask the same share the answer.

Detectors with the same f_k measure the same passes, and a search begins with the images that the detector has
just seen. On a CPU a pass costs a hundred times the hash of its input; on a GPU the hash would cost a round
trip, so there nothing is remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.isolation.process_state import arithmetic

Compute = Callable[[Tensor, Condition], Tensor]


class OutputMemory:
    """The latest outputs, by the content of everything that enters a call.

    Args:
        capacity: bytes of outputs that are kept; the ones asked for longest ago go first.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held = 0
        self._outputs: OrderedDict[bytes, Tensor] = OrderedDict()
        self._forms: list[tuple[Hashable, ...]] = []

    def __call__(
        self, x: Tensor, c: Condition, compute: Compute, *, form: tuple[Hashable, ...] = ()
    ) -> Tensor:
        """`compute(x, c)`, `[B,3,H,W]`, of those images only that are not remembered; it is nobody else's.

        `compute` must give an image the same output in any batch.

        Args:
            x: `[B,3,H,W]` on the CPU.
            form: what computes it and how; outputs of one form are never given for another. Its parts are
                compared as objects.
        """
        rows_of = [t for t in (x, *c.key()) if t is not None]
        parts = [(t.dtype, tuple(t.shape[1:])) for t in rows_of]
        about = (self._number(form), arithmetic(), type(c).__qualname__, parts)
        keys = [_key(repr(about), row) for row in zip(*rows_of, strict=True)]
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

    def forget(self) -> None:
        """Let go of all outputs: after a component was at fault nothing that it asked for is believed."""
        self._outputs.clear()
        self.held = 0

    def _number(self, form: tuple[Hashable, ...]) -> int:
        """The place of a form among those that were asked for; each is kept, so that no other takes its
        address."""
        for number, known in enumerate(self._forms):
            if len(known) == len(form) and all(
                a is b or (isinstance(a, int | str) and a == b) for a, b in zip(known, form, strict=True)
            ):
                return number
        self._forms.append(form)
        return len(self._forms) - 1


def _key(about: str, row: tuple[Tensor, ...]) -> bytes:
    told = hashlib.blake2b(about.encode(), digest_size=16)
    for part in row:
        # numpy has no bfloat16; its bits will do.
        bits = part.view(torch.int16) if part.dtype == torch.bfloat16 else part
        told.update(bits.detach().contiguous().numpy().tobytes())
    return told.digest()

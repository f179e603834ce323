"""Tensors that cells share: verified before anything that was computed beside them is stored.

Components are given copies, so nothing of this can change by accident. What reaches the originals all the
same (through the garbage collector, or a network's own buffers) is found here, and undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

from magdr_core.errors import ComponentError


class SharedTensors:
    """Tensors with what each held when it was added."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}

    def add(self, name: str, tensor: Tensor) -> None:
        """Watch a tensor of any shape for as long as anybody has it; one that is watched already stays as it
        was kept."""
        known = self._kept.get(id(tensor))
        if known is None or known.tensor() is not tensor:
            self._kept[id(tensor)] = _Kept(name, ref(tensor), _Content(tensor))

    def add_networks(self, name: str, networks: Iterable[nn.Module]) -> None:
        """Watch all parameters and buffers of networks."""
        for network in networks:
            for tensor in (*network.parameters(), *network.buffers()):
                self.add(name, tensor)

    @torch.no_grad()
    def restore(self) -> list[str]:
        """Put back what has changed; names of what had (empty if nothing had)."""
        changed = []
        alive = {key: (kept, t) for key, kept in self._kept.items() if (t := kept.tensor()) is not None}
        self._kept = {key: kept for key, (kept, _) in alive.items()}
        for (kept, tensor), same in zip(alive.values(), _unchanged(alive.values()), strict=True):
            if not same:
                changed.append(kept.name)
                tensor.data = kept.content.tensor()
            tensor.grad = None
        return list(dict.fromkeys(changed))

    def check(self, where: str) -> None:
        """See to it that everything is as it was: nothing that was computed beside a change is kept.

        Raises:
            ComponentError: `where` has changed something; it is mended then.
        """
        if changed := ", ".join(self.restore()):
            raise ComponentError(f"{where}: changes tensors that it shares with others ({changed})")


def _unchanged(alive: Iterable[tuple[_Kept, Tensor]]) -> list[bool]:
    """Of each tensor, whether it is what was kept; an accelerator is asked once for all of its own."""
    found = [kept.content.is_in(tensor) for kept, tensor in alive]
    asked = [(i, same) for i, same in enumerate(found) if isinstance(same, Tensor)]
    answers = torch.stack([same for _, same in asked]).tolist() if asked else []
    known = dict(zip([i for i, _ in asked], answers, strict=True))
    return [bool(known.get(i, same)) for i, same in enumerate(found)]


class _Content:
    """The values of a tensor. On a CPU they are kept as bytes: whoever goes looking for tensors to edit does
    not find them."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype, self.stride = tensor.shape, tensor.dtype, tensor.stride()
        plain = tensor.detach().contiguous()
        self._away = plain.clone() if tensor.device.type != "cpu" else None
        self._bytes = bytearray(_raw(plain).numpy().tobytes()) if self._away is None else bytearray()

    def is_in(self, tensor: Tensor) -> bool | Tensor:
        """Whether a tensor still holds the same, to the bit; on an accelerator a tensor that says so, which
        nobody has waited for."""
        if tensor.shape != self.shape or tensor.dtype != self.dtype:
            return False
        if (self._away is None) != (tensor.device.type == "cpu"):
            return False
        if not tensor.numel():
            return True
        now = _raw(tensor.detach().contiguous())
        if self._away is not None:
            return (now == _raw(self._away)).all()
        # As memory: torch compares bytes one by one, which takes twenty times as long, after every cell.
        return self._bytes == now.numpy().data

    def tensor(self) -> Tensor:
        """A new tensor with these values, laid out in memory as the first one."""
        kept = self._away
        if kept is None:
            kept = torch.frombuffer(bytearray(self._bytes), dtype=self.dtype).reshape(self.shape)
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=kept.device).copy_(kept)


@dataclass(frozen=True, eq=False)
class _Kept:
    name: str
    tensor: ref[Tensor]
    content: _Content


def _raw(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def find_networks(guarded: Any) -> list[nn.Module]:
    """The networks of a guarded component, the faster form of a generator's included."""
    forms = [guarded.component, getattr(guarded, "forward", None)]
    closure = getattr(forms[1], "__closure__", None) or ()
    roots = [*forms, *(cell.cell_contents for cell in closure)]
    owned = [v for root in roots for v in getattr(root, "__dict__", {}).values()]
    found = [one for one in (*roots, *owned) if isinstance(one, nn.Module)]
    return list({id(one): one for one in found}.values())

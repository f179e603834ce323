"""Tensors that cells share: verified before anything that was computed beside them is stored.

Components are given copies, so nothing of this can change by accident. What reaches the originals all the
same (through the garbage collector, or a network's own buffers) is found here, and undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class SharedTensors:
    """Tensors with a copy of each as it was when it was added."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, tensor: Tensor) -> None:
        """Watch a tensor from now on; one that is watched already stays as it was kept."""
        known = self._kept.get(name)
        if known is None or known[0] is not tensor:
            self._kept[name] = (tensor, tensor.detach().clone())

    def add_networks(self, name: str, networks: Iterable[nn.Module]) -> None:
        """Watch all parameters and buffers of networks."""
        for i, network in enumerate(networks):
            for of, tensor in (*network.named_parameters(), *network.named_buffers()):
                self.add(f"{name}: {i}.{of}", tensor)

    @torch.no_grad()
    def restore(self) -> list[str]:
        """Put back what has changed; names of what had (empty if nothing had)."""
        changed = []
        for name, (tensor, kept) in self._kept.items():
            if tensor.shape != kept.shape or not _same(tensor, kept):
                changed.append(name.partition(":")[0])
                tensor.data = kept.clone()
            tensor.grad = None
        return list(dict.fromkeys(changed))


def find_networks(guarded: Any) -> list[nn.Module]:
    """The networks of a guarded component, the faster form of a generator's included."""
    forms = [guarded.component, getattr(guarded, "forward", None)]
    closure = getattr(forms[1], "__closure__", None) or ()
    roots = [*forms, *(cell.cell_contents for cell in closure)]
    owned = [v for root in roots for v in getattr(root, "__dict__", {}).values()]
    found = [one for one in (*roots, *owned) if isinstance(one, nn.Module)]
    return list({id(one): one for one in found}.values())


def _same(a: Tensor, b: Tensor) -> bool:
    a = a.detach()
    return torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())

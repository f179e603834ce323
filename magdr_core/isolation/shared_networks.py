"""How magdr's own networks are put together: verified before anything computed with them is stored.

Their weights are tensors like others (:mod:`magdr_core.isolation.shared_tensors`). Here it is what else
decides what a network computes: its class, its parts, hooks on them, and a `forward` of the object's own.
Networks of classes that are not magdr's are left out: they may put hooks on themselves when first called.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import is_
from typing import Any
from weakref import ref

from torch import nn

_OWN = "magdr"
"""What the names of modules begin with whose classes are watched."""

_TABLES = tuple(name for name, value in vars(nn.Module()).items() if isinstance(value, dict))
"""Attributes of every module in which torch keeps its parts and hooks."""


class SharedNetworks:
    """Networks, each with how it was put together when it was added."""

    def __init__(self) -> None:
        self._kept: dict[int, _Layout] = {}

    def add(self, name: str, networks: Iterable[nn.Module]) -> None:
        """Watch networks for as long as anybody has them; one that is watched stays as it was kept."""
        for network in networks:
            if type(network).__module__.startswith(_OWN):
                for module in network.modules():
                    known = self._kept.get(id(module))
                    if known is None or known.module() is not module:
                        self._kept[id(module)] = _Layout(name, module)

    def restore(self) -> list[str]:
        """Put back what has changed; names of the networks that had (empty if none had)."""
        # Held while they are looked at: networks go whenever the collector runs.
        alive = [(key, kept, m) for key, kept in self._kept.items() if (m := kept.module()) is not None]
        self._kept = {key: kept for key, kept, _ in alive}
        return list(dict.fromkeys(kept.name for _, kept, module in alive if not kept.restore(module)))


class _Layout:
    """The class, tables and own `forward` of a module."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module, self.kind = name, ref(module), type(module)
        own = vars(module)
        self.tables = {table: dict(own[table]) for table in _TABLES if table in own}
        self.forward = own.get("forward")

    def restore(self, module: Any) -> bool:
        """Whether the module was as it had been; if not, it is afterwards."""
        own = vars(module)
        same = type(module) is self.kind
        if not same:
            module.__class__ = self.kind
        for table, kept in self.tables.items():
            now = own[table]
            if len(now) != len(kept) or not all(map(is_, map(now.get, kept), kept.values())):
                same = False
                now.clear()
                now.update(kept)
        if own.get("forward") is not self.forward:
            same = False
            if self.forward is None:
                del own["forward"]
            else:
                own["forward"] = self.forward
        return same

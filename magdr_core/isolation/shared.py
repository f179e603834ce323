"""All that cells share, in one place: tensors, networks and code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor, nn

from magdr_core.errors import ComponentError
from magdr_core.isolation.shared_code import SharedCode
from magdr_core.isolation.shared_networks import SharedNetworks
from magdr_core.isolation.shared_tensors import SharedTensors

T = TypeVar("T")


class Shared:
    """What has to be as it was whenever something is stored: the cells of a task use it all."""

    def __init__(self) -> None:
        self._tensors, self._networks, self._code = SharedTensors(), SharedNetworks(), SharedCode()
        self._code.add()
        self._users: list[str] = []

    def add(self, name: str, tensor: Tensor) -> None:
        """Watch a tensor of any shape."""
        self._tensors.add(name, tensor)

    def add_networks(self, name: str, networks: Sequence[nn.Module]) -> None:
        """Watch weights, buffers and layout of networks."""
        self._tensors.add_networks(name, networks)
        self._networks.add(name, networks)

    def add_code(self) -> None:
        """Watch the modules that were imported since this was last called."""
        self._code.add()

    def restore(self) -> list[str]:
        """Put back what has changed; names of what had, each once (empty if nothing had)."""
        parts: Iterable[list[str]] = (
            self._code.restore(),  # first: what the others do depends on it
            self._networks.restore(),
            self._tensors.restore(),
        )
        return list(dict.fromkeys(name for found in parts for name in found))

    def check(self, where: str) -> None:
        """See to it that everything is as it was: nothing that was computed beside a change is kept.

        Raises:
            ComponentError: `where` has changed something; it is mended then.
        """
        if changed := ", ".join(self.restore()):
            raise ComponentError(f"{where}: changes what it shares with others ({changed})")

    @contextmanager
    def used_by(self, where: str) -> Iterator[None]:
        """Changes that are found on the way, before others are built and called, are the fault of `where`.

        Raises:
            ComponentError: as :meth:`check`, at the end.
        """
        self._users.append(where)
        try:
            yield
        finally:
            self._users.pop()
        self.check(where)

    def while_built(self, build: Callable[[], T]) -> T:
        """What `build` makes. Libraries that it imports may replace functions; that is put back, no fault.

        Raises:
            ComponentError: something had changed before, by whoever is at work.
        """
        if self._users:
            self.check(self._users[-1])
        else:
            self.restore()  # by somebody who was called in between: no fault of this one
        users, self._users = self._users, []  # what is built on the way is no work of theirs
        try:
            return build()
        finally:
            self._users = users
            self.restore()

"""All that cells share, in one place: tensors, networks and code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from magdr_core.errors import ComponentError
from magdr_core.isolation.shared_code import SharedCode
from magdr_core.isolation.shared_networks import SharedNetworks
from magdr_core.isolation.shared_tensors import SharedTensors


class Shared:
    """What has to be as it was whenever something is stored: the cells of a task use it all."""

    def __init__(self) -> None:
        self._tensors, self._networks, self._code = SharedTensors(), SharedNetworks(), SharedCode()
        self._code.add()

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

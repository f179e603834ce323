"""Splits of drawn pictures: what the parameters of a face tell, and the same picture drawn otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor

from magdr_core.api import Batch, DataError
from magdr_core.functional import to_8bit

from .faces import ATTRIBUTES, FaceParameters, edited, render, with_action_units

DRAWING_VERSION = 2
"""Raised whenever a face would look different: stored results and calibrations are keyed by it."""


class DrawnSplit(ABC):
    """One split; an index is a picture for ever.

    Args:
        kind: of dataset, for messages.
        name: of the split.
        length: pictures that there are.
        size: their side in pixels.
    """

    def __init__(self, kind: str, name: str, length: int, size: int) -> None:
        self.kind, self.name, self.length, self.size = kind, name, length, size

    def __len__(self) -> int:
        return self.length

    @abstractmethod
    def ids(self, indices: Sequence[int]) -> tuple[str, ...]:
        """The pictures' names."""

    @abstractmethod
    def indices_of(self, ids: Sequence[str]) -> list[int]:
        """The indices of pictures by their names; -1 of names that are none of the split's."""

    @abstractmethod
    def parameters(self, indices: Sequence[int]) -> FaceParameters:
        """What is drawn. Raises DataError if there is no such index (:meth:`check`)."""

    @abstractmethod
    def facts(self, indices: Sequence[int]) -> Mapping[str, Tensor]:
        """What else is known of the pictures, `[B, ...]` each, `identities` among it."""

    def check(self, indices: Sequence[int]) -> None:
        """Raises DataError if there is no such index."""
        for i in indices:
            if not 0 <= i < self.length:
                raise DataError(f"split {self.name!r} has {self.length} faces, there is no index {i}")

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        parameters = self.parameters(indices)
        images, masks = render(parameters, self.size)
        return Batch(
            images=to_8bit(images),
            ids=self.ids(indices),
            attributes=attributes_of(parameters),
            masks=masks,
            action_units=parameters.action_units,
            annotations=self.facts(indices),
        )

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """The same pictures with some attributes set: `[B,3,H,W]`.

        Hair colours exclude each other; where every named one is 0, the hair turns grey.
        """
        unknown = sorted(set(changes) - set(ATTRIBUTES))
        if unknown:
            raise DataError(f"{self.kind} has no attribute {unknown[0]!r}")
        parameters = self.parameters(indices)
        wanted = parameters.attributes().clone()
        colours = [i for i, name in enumerate(ATTRIBUTES) if name.endswith("_Hair") and name != "Gray_Hair"]
        if any(ATTRIBUTES[i] in changes for i in colours):
            wanted[:, colours] = 0.0
        for name, value in changes.items():
            wanted[:, ATTRIBUTES.index(name)] = value.to(wanted)
        wanted[:, ATTRIBUTES.index("Gray_Hair")] = (wanted[:, colours].sum(1) == 0).to(wanted)
        return to_8bit(render(edited(parameters, wanted), self.size)[0])

    def reenacted(self, indices: Sequence[int], action_units: Tensor) -> Tensor:
        """The same pictures with other action units, `[B,17]` in [0,1]: `[B,3,H,W]`."""
        return to_8bit(render(with_action_units(self.parameters(indices), action_units), self.size)[0])


def attributes_of(parameters: FaceParameters) -> dict[str, Tensor]:
    """By name 0/1 of B faces, `[B]`."""
    values = parameters.attributes()
    return {name: values[:, i] for i, name in enumerate(ATTRIBUTES)}


def number_in(name: str, before: str) -> int:
    """`face-17` -> 17, where `before` is `face-`; -1 of other names."""
    number = name.removeprefix(before)
    return int(number) if number != name and number.isdecimal() and number.isascii() else -1

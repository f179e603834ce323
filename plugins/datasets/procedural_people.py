"""Drawn persons, several pictures of each: for whatever tells persons apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import DataError, DatasetSpec, Field, SampleRng, hookimpl
from magdr_core.functional import constant

from ._drawn import DRAWING_VERSION, DrawnSplit, number_in
from .faces import FaceParameters, sample_parameters

MAGDR_API = 1

# Numbers of persons that the splits begin with and have; nobody is in two.
SPLITS = {"train": (0, 100_000), "calibration": (1_000_000, 10_000), "test": (2_000_000, 10_000)}


class PeopleSplit(DrawnSplit):
    """One split; an index is a picture for ever, and pictures of one person follow each other."""

    def __init__(self, dataset: ProceduralPeople, name: str) -> None:
        self._dataset = dataset
        self._first, people = SPLITS[name]
        super().__init__("procedural-people", name, people * dataset.pictures, dataset.size)

    def ids(self, indices: Sequence[int]) -> tuple[str, ...]:
        each, start = self._dataset.pictures, self._first * self._dataset.pictures
        return tuple(f"picture-{start + i}-of-{each}" for i in indices)

    def indices_of(self, ids: Sequence[str]) -> list[int]:
        each, start = self._dataset.pictures, self._first * self._dataset.pictures
        found = [number_in(name.removesuffix(f"-of-{each}"), "picture-") - start for name in ids]
        return [i if 0 <= i < self.length else -1 for i in found]

    def people(self, indices: Sequence[int]) -> list[int]:
        """The numbers of the persons shown."""
        return [self._first + i // self._dataset.pictures for i in indices]

    def parameters(self, indices: Sequence[int]) -> FaceParameters:
        self.check(indices)
        device = self._dataset.device
        names = [f"somebody-{person}" for person in self.people(indices)]
        rng = SampleRng(0, "procedural-people", self.ids(indices), device=device)
        person = SampleRng(0, "procedural-people", names, device=device)
        return sample_parameters(rng, person, grain=self._dataset.grain)

    def facts(self, indices: Sequence[int]) -> Mapping[str, Tensor]:
        return {"identities": constant(self.people(indices), self._dataset.device)}


class ProceduralPeople:
    """Drawn persons, several pictures of each: other poses, expressions, clothes and light.

    All else is as of `procedural-faces`.

    Args:
        size: side of the square pictures, in pixels.
        grain: factor of the sensor noise; at 1 its standard deviation is up to 0.004 in [0,1] units.
        pictures: how many there are of each person.
    """

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=32, le=512, multiple_of=4)] = 64,
        grain: Annotated[float, Field(ge=0, le=10)] = 1.0,
        pictures: Annotated[int, Field(ge=2, le=100)] = 8,
    ) -> None:
        self.size = size
        self.grain = grain
        self.pictures = pictures
        self.device = torch.device("cpu")

    def split(self, name: str) -> PeopleSplit:
        if name not in SPLITS:
            raise DataError(f"procedural-people has no split {name!r}; it has {', '.join(SPLITS)}")
        return PeopleSplit(self, name)

    def fingerprint(self) -> str:
        """Names the images: what draws them, at which size and grain, and how many of each person."""
        return f"procedural-people-v{DRAWING_VERSION}-{self.size}px-grain{self.grain:g}-{self.pictures}each"


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="procedural-people", build=ProceduralPeople, tags=("faces", "synthetic"))]

"""Faces drawn on the device, with exact masks: data for everything, without a download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import DataError, DatasetSpec, Field, SampleRng, hookimpl
from magdr_core.functional import constant, to_8bit

from ._drawn import DRAWING_VERSION, DrawnSplit, number_in
from .faces import FaceParameters, render, sample_parameters, with_face

MAGDR_API = 1

# Splits are ranges of seeds that never meet. The sizes are limits, not counts that anybody must draw.
SPLITS = {"train": (0, 1_000_000), "calibration": (1_000_000, 100_000), "test": (2_000_000, 100_000)}

# Two drawn persons for face replacement, chosen to be told apart at a glance: a fair one without a beard, and
# a dark-haired one with one.
PEOPLE = {"A": "person-59", "B": "person-75"}
OTHER: dict[str, Who] = {"A": "B", "B": "A"}
Who = Literal["everybody", "A", "B"]


class ProceduralSplit(DrawnSplit):
    """One split; an index is a face for ever."""

    def __init__(self, dataset: ProceduralFaces, name: str) -> None:
        self._dataset = dataset
        self._first, length = SPLITS[name]
        super().__init__("procedural-faces", name, length, dataset.size)

    def ids(self, indices: Sequence[int]) -> tuple[str, ...]:
        return tuple(f"face-{self._first + i}" for i in indices)

    def indices_of(self, ids: Sequence[str]) -> list[int]:
        found = [number_in(name, "face-") - self._first for name in ids]
        return [i if 0 <= i < self.length else -1 for i in found]

    def parameters(self, indices: Sequence[int], who: Who | None = None) -> FaceParameters:
        """What is drawn; `who` puts another person into the same scenes."""
        self.check(indices)
        dataset = self._dataset
        ids = self.ids(indices)
        who = who or dataset.identity
        rng = SampleRng(0, "procedural-faces", ids, device=dataset.device)
        person = None
        if who != "everybody":
            person = SampleRng(0, "procedural-people", [PEOPLE[who]] * len(ids), device=dataset.device)
        return sample_parameters(rng, person, grain=dataset.grain)

    def facts(self, indices: Sequence[int]) -> Mapping[str, Tensor]:
        # Of one person every frame counts for itself: there is no second one to resample.
        return {"identities": constant([self._first + i for i in indices], self._dataset.device)}

    def replaced(self, indices: Sequence[int]) -> Tensor:
        """The same pictures with the other person's face, A for B and B for A: `[B,3,H,W]`.

        Pose, expression, gaze, light, glasses and the outline of head and ears stay. Brows, eyes, nose,
        mouth, beard, make-up and the skin of face and ears are the other's. Hair, neck, clothes, hat and
        background keep their pixels (the camera's blur carries an edge two pixels far).

        Raises:
            DataError: the split shows everybody, not one of the two persons.
        """
        who = self._dataset.identity
        if who == "everybody":
            raise DataError('replaced faces need one person: procedural-faces with identity = "A" or "B"')
        parameters = self.parameters(indices)
        face = with_face(parameters, self.parameters(indices, OTHER[who]))
        return to_8bit(render(parameters, self._dataset.size, face)[0])


class ProceduralFaces:
    """Drawn faces with exact soft masks, attributes, action units, identities and paired edits.

    `identity = "A"` (or `"B"`) shows one fixed person in every scene, as face replacement needs it.

    Args:
        size: side of the square pictures, in pixels.
        grain: factor of the sensor noise; at 1 its standard deviation is up to 0.004 in [0,1] units.
        identity: who is shown: everybody, or one of two fixed persons, as face replacement needs it.
    """

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=32, le=512, multiple_of=4)] = 64,
        grain: Annotated[float, Field(ge=0, le=10)] = 1.0,
        identity: Who = "everybody",
    ) -> None:
        self.size = size
        self.grain = grain
        self.identity: Who = identity
        self.device = torch.device("cpu")

    def split(self, name: str) -> ProceduralSplit:
        if name not in SPLITS:
            raise DataError(f"procedural-faces has no split {name!r}; it has {', '.join(SPLITS)}")
        return ProceduralSplit(self, name)

    def fingerprint(self) -> str:
        """Names the images: what draws them, at which size and grain, and of whom."""
        of = "" if self.identity == "everybody" else f"-{PEOPLE[self.identity]}"
        return f"procedural-faces-v{DRAWING_VERSION}-{self.size}px-grain{self.grain:g}{of}"


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="procedural-faces", build=ProceduralFaces, tags=("faces", "synthetic"))]

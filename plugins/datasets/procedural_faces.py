"""Faces drawn on the device, with exact masks: data for everything, without a download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import Batch, DataError, DatasetSpec, Field, SampleRng, hookimpl
from magdr_core.functional import constant, to_8bit

from .faces import (
    ATTRIBUTES,
    FaceParameters,
    edited,
    render,
    sample_parameters,
    with_action_units,
    with_face,
)

MAGDR_API = 1

DRAWING_VERSION = 2
"""Raised whenever a face would look different: stored results and calibrations are keyed by it."""

# Splits are ranges of seeds that never meet. The sizes are limits, not counts that anybody must draw.
SPLITS = {"train": (0, 1_000_000), "calibration": (1_000_000, 100_000), "test": (2_000_000, 100_000)}

# Two drawn persons for face replacement, chosen to be told apart at a glance: a fair one without a beard, and
# a dark-haired one with one.
PEOPLE = {"A": "person-59", "B": "person-75"}
OTHER: dict[str, Who] = {"A": "B", "B": "A"}
Who = Literal["everybody", "A", "B"]


class ProceduralSplit:
    """One split; an index is a face for ever."""

    def __init__(self, dataset: ProceduralFaces, name: str) -> None:
        self._dataset = dataset
        self._name = name
        self._first, self._length = SPLITS[name]

    def __len__(self) -> int:
        return self._length

    def _ids(self, indices: Sequence[int]) -> tuple[str, ...]:
        for i in indices:
            if not 0 <= i < self._length:
                raise DataError(f"split {self._name!r} has {self._length} faces, there is no index {i}")
        return tuple(f"face-{self._first + i}" for i in indices)

    def parameters(self, indices: Sequence[int], who: Who | None = None) -> FaceParameters:
        """What is drawn; `who` puts another person into the same scenes."""
        dataset = self._dataset
        ids = self._ids(indices)
        who = who or dataset.identity
        rng = SampleRng(0, "procedural-faces", ids, device=dataset.device)
        person = None
        if who != "everybody":
            person = SampleRng(0, "procedural-people", [PEOPLE[who]] * len(ids), device=dataset.device)
        return sample_parameters(rng, person, grain=dataset.grain)

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        parameters = self.parameters(indices)
        images, masks = render(parameters, self._dataset.size)
        values = parameters.attributes()
        return Batch(
            images=to_8bit(images),
            ids=self._ids(indices),
            attributes={name: values[:, i] for i, name in enumerate(ATTRIBUTES)},
            masks=masks,
            action_units=parameters.action_units,
            # Of one person every frame counts for itself: there is no second one to resample.
            identities=constant([self._first + i for i in indices], self._dataset.device),
        )

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """The same pictures with some attributes set: `[B,3,H,W]`.

        Hair colours exclude each other; where every named one is 0, the hair turns grey.
        """
        unknown = sorted(set(changes) - set(ATTRIBUTES))
        if unknown:
            raise DataError(f"procedural-faces has no attribute {unknown[0]!r}")
        parameters = self.parameters(indices)
        wanted = parameters.attributes().clone()
        colours = [i for i, name in enumerate(ATTRIBUTES) if name.endswith("_Hair") and name != "Gray_Hair"]
        if any(ATTRIBUTES[i] in changes for i in colours):
            wanted[:, colours] = 0.0
        for name, value in changes.items():
            wanted[:, ATTRIBUTES.index(name)] = value.to(wanted)
        wanted[:, ATTRIBUTES.index("Gray_Hair")] = (wanted[:, colours].sum(1) == 0).to(wanted)
        return to_8bit(render(edited(parameters, wanted), self._dataset.size)[0])

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

    def reenacted(self, indices: Sequence[int], action_units: Tensor) -> Tensor:
        """The same pictures with other action units, `[B,17]` in [0,1]: `[B,3,H,W]`."""
        parameters = with_action_units(self.parameters(indices), action_units)
        return to_8bit(render(parameters, self._dataset.size)[0])


class ProceduralFaces:
    """Drawn faces with exact soft masks, attributes, action units, identities and paired edits.

    `identity = "A"` (or `"B"`) shows one fixed person in every scene, as face replacement needs it.
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

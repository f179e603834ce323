"""Drawn faces in motion: short clips with exact masks, action units and poses of every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import DataError, DatasetSpec, Field, SampleRng, hookimpl
from magdr_core.functional import constant

from ._drawn import DRAWING_VERSION, DrawnSplit, attributes_of, number_in
from .faces import FaceParameters, in_motion, sample_parameters

MAGDR_API = 1

MOTION_VERSION = 1
"""Raised whenever a face would move otherwise."""

# Ranges of clips that never meet; everybody is in one clip.
SPLITS = {"train": (0, 100_000), "calibration": (100_000, 20_000), "test": (200_000, 20_000)}


class ClipSplit(DrawnSplit):
    """One split. Its rows are frames, those of the first clip first; an index is a frame for ever."""

    def __init__(self, dataset: ProceduralClips, name: str) -> None:
        self._dataset = dataset
        self._first, clips = SPLITS[name]
        super().__init__("procedural-clips", name, clips * dataset.frames, dataset.size)

    def _clip_and_frame(self, index: int) -> tuple[int, int]:
        clip, frame = divmod(index, self._dataset.frames)
        return self._first + clip, frame

    def ids(self, indices: Sequence[int]) -> tuple[str, ...]:
        return tuple("clip-{}-frame-{}".format(*self._clip_and_frame(i)) for i in indices)

    def indices_of(self, ids: Sequence[str]) -> list[int]:
        found = []
        for name in ids:
            clip, _, frame = name.partition("-frame-")
            number, place = number_in(clip, "clip-") - self._first, number_in(f"-{frame}", "-")
            there = 0 <= place < self._dataset.frames and number >= 0
            index = number * self._dataset.frames + place
            found.append(index if there and index < self.length else -1)
        return found

    def parameters(self, indices: Sequence[int]) -> FaceParameters:
        """What is drawn, frame by frame."""
        clips, still = self._clips(indices)
        frames = [self._clip_and_frame(i)[1] for i in indices]
        own = SampleRng(0, "procedural-clips noise", self.ids(indices), device=self._dataset.device)
        return in_motion(still, clips, constant(frames, self._dataset.device, torch.int64), own)

    def _clips(self, indices: Sequence[int]) -> tuple[SampleRng, FaceParameters]:
        """For each frame the streams of its clip, and the face that the clip begins with."""
        self.check(indices)
        clips = [self._clip_and_frame(i)[0] for i in indices]
        every = sorted(set(clips))
        names = [f"clip-{clip}" for clip in every]
        rng = SampleRng(0, "procedural-clips", names, device=self._dataset.device)
        # A face is drawn once for all frames of its clip.
        rows = constant([every.index(clip) for clip in clips], self._dataset.device, torch.int64)
        return rng.select(rows), sample_parameters(rng, grain=self._dataset.grain).select(rows)

    def facts(self, indices: Sequence[int]) -> Mapping[str, Tensor]:
        device = self._dataset.device
        numbers = constant([self._clip_and_frame(i) for i in indices], device, torch.int64).reshape(-1, 2)
        still = self._clips(indices)[1]
        opening = {f"attribute:{name}": value for name, value in attributes_of(still).items()}
        opening["action_units"] = still.action_units
        return {
            "identities": numbers[:, 0].contiguous(),
            "clips": numbers[:, 0].contiguous(),
            "frames": numbers[:, 1].contiguous(),
            **{f"opening:{name}": value for name, value in opening.items()},
        }


class ProceduralClips:
    """Drawn faces in motion, a short clip of each, with exact soft masks, attributes and action units.

    Rows are frames, 25 a second. In a clip the head and the expression move, some people talk or blink;
    person, clothes, background and light stay.

    Args:
        size: side of the square pictures, in pixels.
        grain: factor of the sensor noise; at 1 its standard deviation is up to 0.004 in [0,1] units.
        frames: frames of each clip, 25 a second.
    """

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=32, le=512, multiple_of=4)] = 64,
        grain: Annotated[float, Field(ge=0, le=10)] = 1.0,
        frames: Annotated[int, Field(ge=1, le=250)] = 8,
    ) -> None:
        self.size = size
        self.grain = grain
        self.frames = frames
        self.device = torch.device("cpu")

    def split(self, name: str) -> ClipSplit:
        if name not in SPLITS:
            raise DataError(f"procedural-clips has no split {name!r}; it has {', '.join(SPLITS)}")
        return ClipSplit(self, name)

    def fingerprint(self) -> str:
        """Names the images: what draws and moves them, at which size and grain, and the frames of a clip."""
        drawn = f"v{DRAWING_VERSION}.{MOTION_VERSION}-{self.size}px-grain{self.grain:g}"
        return f"procedural-clips-{drawn}-{self.frames}frames"


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    tags = ("faces", "synthetic", "video")
    return [DatasetSpec(name="procedural-clips", build=ProceduralClips, tags=tags)]

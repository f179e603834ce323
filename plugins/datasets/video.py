"""The frames of one video file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl

from ._clips import FrameMemory, VideoClip, sampled
from ._openface import CONFIDENCE, frame_units, units_digest
from ._pictures import beside, centre_square, file_digest, given_path, squared
from ._splits import RowSplit, all_in, by_time, check_split, digest

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same file would give other pictures."""


class VideoFrames:
    """The frames of one video file, with action units where OpenFace's file is given.

    Rows are the sampled frames, in the order of time.

    Args:
        path: the video file.
        size: side of the square pictures, in pixels.
        fit: "crop" keeps the middle square, "stretch" everything.
        stride: distance of the frames that are taken: 1 takes every one, 2 every second.
        split: "time" makes the first 60% train, the next 20% calibration and the rest test; or all frames are
            in the named one.
        action_units: the csv of OpenFace's FeatureExtraction, relative to the file's folder; frames without a
            sure row are left out.
        confidence: least confidence, in [0,1], from which a row of OpenFace counts as sure.

    Raises:
        DataError: the file is missing; when it is first used, that it is damaged or shorter than it declares.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        fit: Literal["crop", "stretch"] = "crop",
        stride: Annotated[int, Field(ge=1, le=10_000)] = 1,
        split: Literal["time", "train", "calibration", "test"] = "time",
        action_units: str = "",
        confidence: Annotated[float, Field(ge=0, le=1)] = CONFIDENCE,
    ) -> None:
        self.size, self.stride = size, stride
        self.device = torch.device("cpu")
        self._fit, self._shares, self._confidence = fit, split, confidence
        self._path = given_path(path, "video", "FILE")
        if not self._path.is_file():
            raise DataError(f"video: {self._path} does not exist")
        self._units_path = beside(self._path.parent, action_units)
        self._clip = VideoClip(self._path, exact=True)
        self._memory = FrameMemory(size)

    @cached_property
    def _units(self) -> dict[int, Tensor]:
        return {} if self._units_path is None else frame_units(self._units_path, self._confidence)

    @cached_property
    def _positions(self) -> list[int]:
        """The frames that are looked at. All frames are decoded for it, once: a damaged file is found now."""
        found = sampled(self._clip.positions(), self.stride)
        if self._units_path is not None:
            found = [p for p in found if p in self._units]
            if not found:
                raise DataError(f"{self._units_path}: is about none of the frames of {self._path}")
        return found

    def split(self, name: str) -> RowSplit[int]:
        check_split(name, "video")
        count = len(self._positions)
        rows = by_time(count) if self._shares == "time" else all_in(self._shares, count)
        return RowSplit(self, name, rows[name])

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(f"{self._path.name}-{self._positions[row]:06d}" for row in rows)

    def image(self, row: int) -> Tensor:
        position = self._positions[row]
        return self._memory.get(self._clip, position, lambda: self._load(position))

    def _load(self, position: int) -> Iterator[tuple[int, Tensor]]:
        prepare = squared if self._fit == "stretch" else centre_square
        for at, frame in self._clip.frames([position]):
            yield at, prepare(frame, self.size)

    def facts(self, rows: Sequence[int]) -> Mapping[str, Any]:
        # One clip is one observation: frames of the same shot do not tell more about other people.
        facts: dict[str, Any] = {"identities": torch.zeros(len(rows), dtype=torch.int64)}
        if self._units_path is not None:
            found = [self._units[self._positions[row]] for row in rows]
            facts["action_units"] = torch.stack(found) if found else None
        return facts

    @cached_property
    def _content(self) -> str:
        return digest(self._path.name, file_digest(self._path), units_digest(self._units))

    def fingerprint(self) -> str:
        """Names the frames by the file's name (as ids do) and content, and by which of them are looked at."""
        return f"video-v{VERSION}-{self._shares}-every{self.stride}-{self._fit}-{self.size}px-{self._content}"


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(name="video", build=VideoFrames, tags=("video",), requires=("av",), extra="magdr[video]")
    ]

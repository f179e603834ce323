"""FaceForensics++: original and manipulated videos of faces, with masks of what was manipulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl

from ._clips import Clip, FrameMemory, PictureClip, VideoClip, facts_of, sampled
from ._faceforensics import (
    Pair,
    face_square,
    inside,
    mask_folders,
    open_clip,
    read_splits,
    sequences,
    videos_of,
)
from ._pictures import Box, centre_square, given_folder, squared
from ._splits import SPLITS, RowSplit, by_time, check_split, digest, stacked

MAGDR_API = 1

VERSION = 2
"""Raised whenever the same files would give other pictures."""

Row = tuple[str, int]
"""A clip's name and a frame's position in it, from 0 on."""


class FaceForensicsSplit(RowSplit[Row]):
    """One split. Of manipulated clips it also knows the originals and the masks."""

    def __init__(self, source: FaceForensics, name: str, rows: Sequence[Row]) -> None:
        super().__init__(source, name, rows)
        self._dataset = source

    def originals(self, indices: Sequence[int]) -> Tensor:
        """The same frames of the original videos, cropped alike: `[B,3,size,size]`.

        Raises:
            DataError: a file is missing, or the dataset holds originals only.
        """
        images = [self._dataset.original(row) for row in self.rows(indices)]
        return stacked(images, self._dataset.size).to(self._dataset.device)

    def manipulated(self, indices: Sequence[int]) -> Tensor:
        """The share of each pixel that was manipulated: `[B,1,size,size]` in [0,1].

        Raises:
            DataError: a mask is missing, or the dataset holds originals only.
        """
        masks = [self._dataset.mask(row) for row in self.rows(indices)]
        return stacked(masks, self._dataset.size)[:, :1].to(self._dataset.device)


class FaceForensics:
    """Frames of FaceForensics++, original or manipulated, from your own copy.

    Rows are sampled frames: the first one of every clip, then the second one of every clip, ...

    Args:
        path: the folder with `original_sequences`, `manipulated_sequences` and `splits`.
        size: side of the square pictures, in pixels.
        method: "original" reads the real videos, any other name those of that manipulation.
        compression: compression of the videos; "raw" and "c0" mean the same.
        source: what is read: extracted frames, videos (extra `video`), or whichever is there, frames first.
        stride: distance of the frames that are taken: 1 takes every one, 2 every second.
        frames: number of frames that are taken of a clip at most; 0 takes all.
        crop: "centre" keeps the middle square; "mask" the face, where the masks of the clip (for originals:
            of Deepfakes with this target) say that it is.
        pair: two originals, as identities A and B of a face replacement: only their frames, the first 60% of
            each train, the next 20% calibration, the rest test, with the attribute `Identity_B`. Otherwise
            the official splits, in which no video is shared ("val" is calibration).

    Raises:
        DataError: a folder or split file is missing.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        method: Literal[
            "original", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"
        ] = "original",
        compression: Literal["raw", "c0", "c23", "c40"] = "c23",
        source: Literal["auto", "images", "videos"] = "auto",
        stride: Annotated[int, Field(ge=1, le=10_000)] = 25,
        frames: Annotated[int, Field(ge=0, le=100_000)] = 10,
        crop: Literal["centre", "mask"] = "centre",
        pair: tuple[str, ...] = (),
    ) -> None:
        if len(pair) not in (0, 2) or len(set(pair)) != len(pair):
            raise DataError(f'faceforensics: pair = {list(pair)}: expected two videos, as ["000", "003"]')
        self.size = size
        self.device = torch.device("cpu")
        self._root = given_folder(path, "faceforensics")
        self._method, self._compression, self._source = method, compression, source
        self._stride, self._frames, self._crop = stride, frames, crop
        self._pair: Pair | None = (pair[0], pair[1]) if pair else None
        self._pairs: dict[str, list[Pair]] = {} if pair else read_splits(self._root)
        self._clips: dict[str, Clip] = {}
        self._masks: dict[str, Clip] = {}
        self._boxes: dict[str, Box] = {}
        self._memory = FrameMemory(size)
        self._rows: dict[str, list[Row]] = {}

    # -- clips ------------------------------------------------------------------------------------------

    def _names(self, pairs: Sequence[Pair]) -> list[str]:
        """Clips of these pairs; a manipulated one is called TARGET_SOURCE, both directions exist."""
        if self._method == "original":
            return videos_of(pairs)
        return [f"{a}_{b}" for pair in pairs for a, b in (pair, pair[::-1])]

    def _clip(self, name: str, method: str) -> Clip:
        key = f"{method}/{name}"
        if key not in self._clips:
            folders = sequences(self._root, method, self._compression)
            self._clips[key] = open_clip(folders, name, self._source)
        return self._clips[key]

    @cached_property
    def _partner(self) -> dict[str, str]:
        every = [self._pair] if self._pair else [p for pairs in self._pairs.values() for p in pairs]
        return {x: y for a, b in every for x, y in ((a, b), (b, a))}

    def _mask(self, name: str) -> Clip:
        """A manipulated clip's own masks; for an original those of Deepfakes, which has the face in place."""
        if name not in self._masks:
            own = self._method != "original"
            clip = name if own else f"{name}_{self._partner[name]}"
            folders = mask_folders(self._root, self._method if own else "Deepfakes")
            self._masks[name] = open_clip(folders, clip, "auto")
        return self._masks[name]

    def _positions(self, name: str) -> list[int]:
        found = sampled(self._clip(name, self._method).positions(), self._stride, self._frames)
        if not found:
            path = self._clip(name, self._method).path
            raise DataError(f"{path}: has no frame at stride = {self._stride}")
        return found

    def _box(self, name: str) -> Box:
        if name not in self._boxes:
            clip = self._mask(name)
            there = set(clip.positions())
            wanted = [p for p in self._positions(name) if p in there]
            marks = [inside(mask) for _, mask in clip.frames(wanted)]
            self._boxes[name] = face_square(marks, clip.path)
        return self._boxes[name]

    def _read(self, name: str, clip: Clip, position: int) -> Tensor:
        """A frame of a clip, cropped as the sample `name` is."""

        def load() -> Iterator[tuple[int, Tensor]]:
            box = self._box(name) if self._crop == "mask" else None
            # A video gives all of its sampled frames in one go; it cannot be opened in the middle.
            wanted = [position] if isinstance(clip, PictureClip) else self._positions(name)
            for at, frame in clip.frames([p for p in wanted if p in clip.positions()]):
                if clip is self._masks.get(name):
                    frame = inside(frame).float().expand(3, -1, -1)
                yield at, centre_square(frame, self.size) if box is None else squared(frame, self.size, box)
            if isinstance(clip, VideoClip):
                clip.close()

        return self._memory.get(clip, position, load, owner=name)

    # -- the dataset ------------------------------------------------------------------------------------

    def split(self, name: str) -> FaceForensicsSplit:
        check_split(name, "faceforensics")
        if name not in self._rows:
            per_clip = []
            for clip in self._names([self._pair] if self._pair else self._pairs[name]):
                positions = self._positions(clip)
                chosen = by_time(len(positions))[name] if self._pair else range(len(positions))
                per_clip.append([(clip, positions[i]) for i in chosen])
            rounds = zip_longest(*per_clip)
            self._rows[name] = [row for one in rounds for row in one if row is not None]
        return FaceForensicsSplit(self, name, self._rows[name])

    def ids(self, rows: Sequence[Row]) -> tuple[str, ...]:
        return tuple(f"ff-{self._method}-{name}-{position:04d}" for name, position in rows)

    def image(self, row: Row) -> Tensor:
        name, position = row
        return self._read(name, self._clip(name, self._method), position)

    def _target(self, name: str) -> str:
        return name.partition("_")[0]

    def original(self, row: Row) -> Tensor:
        name, position = row
        if self._method == "original":
            raise DataError("faceforensics: method = 'original' has no manipulated frames")
        return self._read(name, self._clip(self._target(name), "original"), position)

    def mask(self, row: Row) -> Tensor:
        name, position = row
        if self._method == "original":
            raise DataError("faceforensics: method = 'original' has no manipulated frames")
        return self._read(name, self._mask(name), position)

    def facts(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        targets = [self._target(name) for name, _ in rows]
        try:
            facts: dict[str, Any] = {"identities": torch.tensor([int(t) for t in targets], dtype=torch.int64)}
        except ValueError as e:
            raise DataError(f"faceforensics: a video is not named by a number ({e})") from None
        if self._pair:
            second = torch.tensor([float(t == self._pair[1]) for t in targets])
            facts["attributes"] = {"Identity_B": second}
        return facts

    @cached_property
    def _content(self) -> str:
        parts: list[str] = []
        for split in SPLITS if self._pairs else ("pair",):
            for name in self._names(self._pairs.get(split, [self._pair] if self._pair else [])):
                clips = [self._clip(name, self._method)]
                clips += [self._mask(name)] if self._crop == "mask" else []
                parts += [split, name, *map(facts_of, clips)]
        return digest(*parts)

    def fingerprint(self) -> str:
        """Names the frames by the clips of each split, with file names and sizes; no clip is read for it."""
        how = f"every{self._stride}-first{self._frames}-{self._crop}-{self.size}px"
        return f"faceforensics-v{VERSION}-{self._method}-{self._compression}-{how}-{self._content}"


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="faceforensics",
            build=FaceForensics,
            cite="Roessler et al., FaceForensics++, ICCV 2019 (arXiv 1901.08971)",
            tags=("faces", "video", "replacement"),
        )
    ]

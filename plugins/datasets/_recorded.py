"""Datasets of real videos whose forgeries are recorded: what they have in common.

Rows are frames of the real videos, one for each frame of a fake that lies beside it, pair by pair; the fakes
themselves are looked up by the rows' ids. The forgery `recorded` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from magdr_core.api import DataError

from ._clips import Clip, FrameMemory, PictureClip, VideoClip, facts_of, spaced
from ._crops import Kept, face_box, landmark_box, marked, mask_box, prepared
from ._pairs import RecordedPair, check_manipulation, partners, some_of
from ._splits import SPLITS, RowSplit, check_split, digest, stacked

Row = tuple[str, int]
"""A pair's key and a frame's position in its real video, from 0 on."""


class Reading(NamedTuple):
    """How frames are taken and cut out, as the parameters of a dataset have it.

    Attributes:
        size: side of the square pictures, in pixels.
        frames: of each pair, evenly spaced; 0: all.
        crop: which square is kept, in a fake as in its real.
        pairs: of a split at most; 0: all.
    """

    size: int
    frames: int
    crop: str
    pairs: int


class RecordedFakes:
    """Frames of real videos, and the fakes of them.

    Args:
        name: of the dataset.
        manipulations: what the fakes are called; every pair has them all.
        shared: pairs by split.
        reading: how frames are taken.
        version: of the dataset's code.
        files: what a fingerprint holds of the files; names and sizes of those of all clips if None.

    Attributes:
        manipulations: what may be looked up.
    """

    def __init__(
        self,
        name: str,
        manipulations: Sequence[str],
        shared: Mapping[str, Sequence[RecordedPair]],
        reading: Reading,
        version: int,
        files: str | None = None,
    ) -> None:
        self.name, self.size = name, reading.size
        self.manipulations = tuple(manipulations)
        self.device = torch.device("cpu")
        self._reading, self._version, self._files = reading, version, files
        self._shared = {split: some_of(shared[split], reading.pairs) for split in SPLITS}
        self._pairs = {pair.key: pair for split in SPLITS for pair in self._shared[split]}
        people = sorted({person for pairs in shared.values() for pair in pairs for person in pair.people})
        self._people = {person: number for number, person in enumerate(people)}
        self._numbers = {key: number for number, key in enumerate(sorted(self._pairs))}
        self._frames: dict[str, dict[int, dict[str, int]]] = {}
        self._boxes: dict[str, Kept | None] = {}
        self._memory = FrameMemory(reading.size)
        self._rows: dict[str, list[Row]] = {}

    # -- clips ------------------------------------------------------------------------------------------

    def _taken(self, key: str) -> dict[int, dict[str, int]]:
        """The frames of a pair that are looked at: positions in the real video, and in each fake.

        Raises:
            DataError: a fake has no frame in common with it.
        """
        if key not in self._frames:
            pair = self._pairs[key]
            there = pair.real.positions()
            beside = {name: partners(there, fake.clip.positions()) for name, fake in pair.fakes.items()}
            common = [at for at in there if all(at in one for one in beside.values())]
            if not common:
                fakes = ", ".join(str(fake.clip.path) for fake in pair.fakes.values())
                raise DataError(f"{pair.real.path}: has no frame that is also in {fakes}")
            chosen = spaced(common, self._reading.frames)
            self._frames[key] = {at: {name: one[at] for name, one in beside.items()} for at in chosen}
        return self._frames[key]

    def _kept(self, key: str) -> Kept | None:
        """What is kept of the frames of a pair; None where the crop has a rule for all (`prepared`)."""
        if key not in self._boxes:
            crop, real, taken = self._reading.crop, self._pairs[key].real, self._taken(key)
            kept: Kept | None = None
            if crop == "face":
                kept = face_box(frame for _, frame in real.frames(list(taken)))
                if isinstance(real, VideoClip):
                    real.close()
            elif crop == "landmarks":
                kept = landmark_box(real, list(taken))
            elif crop == "mask":
                fakes = self._pairs[key].fakes.items()
                name, masks = next((name, fake.masks) for name, fake in fakes if fake.masks is not None)
                kept = mask_box(masks, [at[name] for at in taken.values()])
            self._boxes[key] = kept
        return self._boxes[key]

    def _read(self, key: str, clip: Clip, position: int, several: Iterable[int], mask: bool) -> Tensor:
        """A frame of one of a pair's clips, cropped as its real is: `[3,size,size]`.

        Args:
            several: further positions that will be asked for.
            mask: it is a frame of a mask: white where forged, else black.
        """

        def load() -> Iterator[tuple[int, Tensor]]:
            kept = self._kept(key)
            # A video gives all of its sampled frames in one go; it cannot be opened in the middle.
            there = clip.positions()
            wanted = [position] if isinstance(clip, PictureClip) else sorted({*several, position})
            for at, frame in clip.frames([at for at in wanted if at in there]):
                if kept is not None and frame.shape[1:] != (kept.height, kept.width):
                    size = f"{frame.shape[2]} x {frame.shape[1]}"
                    real = f"{self._pairs[key].real.path} of {kept.width} x {kept.height}"
                    raise DataError(f"{clip.path}: has frames of {size}, {real}: no square is cut of both")
                if mask:
                    frame = marked(frame).float().expand(3, -1, -1)
                box = None if kept is None else kept.box
                yield at, prepared(frame, self.size, box, self._reading.crop)
            if isinstance(clip, VideoClip):
                clip.close()

        return self._memory.get(clip, position, load, owner=key)

    # -- the dataset ------------------------------------------------------------------------------------

    def split(self, name: str) -> RowSplit[Row]:
        """Raises DataError if there is no such split, or a video of it is missing."""
        check_split(name, self.name)
        if name not in self._rows:
            self._rows[name] = [(pair.key, at) for pair in self._shared[name] for at in self._taken(pair.key)]
        return RowSplit(self, name, self._rows[name])

    def ids(self, rows: Sequence[Row]) -> tuple[str, ...]:
        return tuple(f"{self.name}-{key}-{position:04d}" for key, position in rows)

    def image(self, row: Row) -> Tensor:
        key, position = row
        return self._read(key, self._pairs[key].real, position, self._taken(key), False)

    def facts(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        seen = [self._people[self._pairs[key].people[0]] for key, _ in rows]
        clips = [self._numbers[key] for key, _ in rows]
        frames = [list(self._taken(key)).index(at) for key, at in rows]
        return {
            "identities": torch.tensor(seen, dtype=torch.int64),
            "annotations": {
                "clips": torch.tensor(clips, dtype=torch.int64),
                "frames": torch.tensor(frames, dtype=torch.int64),
            },
        }

    @cached_property
    def _content(self) -> str:
        parts = [*self.manipulations, self._files or ""]
        for split in SPLITS:
            for pair in self._shared[split]:
                parts += [split, pair.key, *pair.people]
                if self._files is None:
                    clips = [pair.real, *(clip for fake in pair.fakes.values() for clip in fake)]
                    parts += [facts_of(clip) for clip in clips if clip is not None]
        return digest(*parts)

    def fingerprint(self) -> str:
        """Names the frames by the pairs of each split, with what is known of their files; none is read."""
        size, frames, crop, _ = self._reading
        return f"{self.name}-v{self._version}-spaced{frames}-{crop}-{size}px-{self._content}"

    # -- what is recorded beside it ---------------------------------------------------------------------

    def reals(self, ids: Sequence[str]) -> Tensor:
        """The pictures with these ids, `[B,3,size,size]`.

        Raises:
            DataError: one is of another dataset.
        """
        return stacked([self.image(self._row(one)) for one in ids], self.size)

    def recorded(self, ids: Sequence[str], manipulation: str) -> Tensor:
        """The fakes beside the pictures with these ids, cropped alike: `[B,3,size,size]`.

        Raises:
            DataError: there is no such manipulation, a picture is of another dataset, or a file is damaged.
        """
        return self._looked_up(ids, manipulation, masks=False)

    def recorded_masks(self, ids: Sequence[str], manipulation: str) -> Tensor:
        """Where these fakes are forged, `[B,1,size,size]` of 0 and 1: all 0 where nobody has published it.

        Raises:
            DataError: as :meth:`recorded`.
        """
        return (self._looked_up(ids, manipulation, masks=True)[:, :1] > 0.5).float()

    def _looked_up(self, ids: Sequence[str], manipulation: str, *, masks: bool) -> Tensor:
        check_manipulation(manipulation, self.manipulations, self.name)
        found = []
        for key, position in map(self._row, ids):
            fake, taken = self._pairs[key].fakes[manipulation], self._taken(key)
            at, several = taken[position][manipulation], [one[manipulation] for one in taken.values()]
            clip = fake.masks if masks else fake.clip
            if clip is None or (masks and at not in clip.positions()):
                found.append(torch.zeros(3, self.size, self.size))
            else:
                found.append(self._read(key, clip, at, several, masks))
        return stacked(found, self.size)

    def _row(self, name: str) -> Row:
        rest = name.removeprefix(f"{self.name}-")
        key, _, position = rest.rpartition("-")
        if rest == name or key not in self._pairs or not position.isdecimal():
            raise DataError(f"{name} is no picture of this dataset, {self.name}")
        if int(position) not in self._taken(key):
            raise DataError(f"{name} is not among the frames of {key} that are looked at")
        return key, int(position)

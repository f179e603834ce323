"""A clip whose face was followed, and its cuts in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.functional import batch_size
from magdr_core.media import Box, FaceFinder, Video, cut, whole_cut
from magdr_core.media.track import face_track

BATCH_PIXELS = 8_000_000
"""Of all frames that are held at once, so that large ones do not take sixteen times their size."""

Step = Callable[[str, int, int], None]
"""Told (what, done, total)."""


@dataclass(frozen=True)
class Followed:
    """A clip whose face was followed.

    Attributes:
        video: the file.
        times: in seconds from the beginning of the file, when each frame is shown.
        boxes: where the cut of each frame is.
    """

    video: Video
    times: Sequence[float]
    boxes: Sequence[Box]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def end(self) -> float:
        """When the last frame ends, which is taken to be shown as long as frames usually are."""
        usual = float(np.median(np.diff(self.times))) if len(self) > 1 else 1 / float(self.video.fps)
        return self.times[-1] + usual

    @property
    def fps(self) -> float:
        """On average: what the file declares, unless its frames' times say something else."""
        declared, measured = float(self.video.fps), len(self) / (self.end - self.times[0])
        return declared if abs(measured / declared - 1) < 0.02 else measured

    def cuts(self, size: int, device: torch.device) -> Iterator[tuple[int, list[Tensor], Tensor]]:
        """The clip decoded from the start, a few frames at a time.

        Yields:
            (index of the first frame, frames `[3,H,W]` uint8, their cuts `[n,3,size,size]` in [0,1] on the
            device).

        Raises:
            DataError: a frame cannot be decoded.
        """
        together = min(
            batch_size((size, size), "deliver", device),
            max(1, BATCH_PIXELS // (self.video.height * self.video.width)),
        )
        frames, first = (levels for _, levels in self.video.levels()), 0
        while batch := list(islice(frames, together)):
            cuts = [cut(frame, box, size) for frame, box in zip(batch, self.boxes[first:], strict=False)]
            yield first, batch, torch.stack(cuts).to(device)
            first += len(batch)


def follow(video: Video, *, finder: FaceFinder | None, step: Step) -> Followed:
    """Decode a clip and find the place of the face in every frame.

    Args:
        finder: of faces; None for no search, the largest square in the middle.

    Raises:
        DataError: a frame cannot be decoded, or no frame shows a face.
        ComponentError: the finder fails.
    """
    if finder is None:
        times = [seconds for seconds, _ in video.levels()]
        return Followed(video, times, [whole_cut(video.height, video.width)] * len(times))
    expected = max(1, video.expected)
    what = f"{video.path.name}: following the face"
    times, boxes = face_track(video.levels(), finder, progress=lambda done: step(what, done, expected))
    if not boxes:
        raise DataError(f"{video.path}: no face was found in any frame; try --whole (whole=True)")
    return Followed(video, times, boxes)

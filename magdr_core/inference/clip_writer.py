"""The results of a clip, written frame by frame with its sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from magdr_core.inference.followed import Followed, Step
from magdr_core.inference.operations import FaceJob, Result
from magdr_core.media import Box, paste, paste_change, video_writer
from magdr_core.media.panels import side_by_side
from magdr_core.media.sound import Sound

Work = Callable[[Tensor, int], Sequence[Result]]
"""Cuts `[n,3,S,S]` and the index of their first frame, to what became of each."""

Seen = Callable[[Result, Tensor, Tensor, Box], None]
"""Told of each frame: the result, its cut `[3,S,S]`, the changed frame `[3,H,W]` uint8, the cut's place."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: by what they are, as the paths that were given.
        notes: what became of the sound, where it could not be kept.
    """

    files: Mapping[str, Path]
    notes: tuple[str, ...]


def write_clip(
    clip: Followed,
    paths: Mapping[str, Path],
    job: FaceJob,
    work: Work,
    device: torch.device,
    *,
    caption: str,
    step: Step,
    seen: Seen = lambda result, cut, changed, box: None,
) -> Written:
    """The changed clip without loss, the output and the comparison for players, all with the sound.

    Args:
        paths: of the three (`Input.results`); without the changed clip (the job's `suffix`), the comparison
            shows what was received alone.
        job: says the side S of cuts, and what a pixel may move by.
        device: where cuts are worked on.
        caption: above the comparison.

    Raises:
        DataError: the clip cannot be decoded again, or a file cannot be written.
    """
    video = clip.video
    sounds = [Sound.under(path, video.path) for path in paths.values()]
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                video_writer(path, video.fps, lossless=path.suffix == ".mkv", sound=sound)
            )
            for (name, path), sound in zip(paths.items(), sounds, strict=True)
        }
        for first, frames, x in clip.cuts(job.generator.size, device):
            for i, result in enumerate(work(x, first)):
                frame, box, at = frames[i], clip.boxes[first + i], clip.times[first + i]
                changed = paste_change(frame, box, x[i].cpu(), result.changed.cpu(), limit=job.limit)
                seen(result, x[i], changed, box)
                if job.suffix in writers:
                    writers[job.suffix](changed, at)
                writers["output"](paste(changed, box, result.output.cpu()), at)
                panels = [(label, image.cpu()) for label, image in result.shown(job.suffix in writers)]
                writers["compare"](side_by_side(panels, caption), at)
            step(f"{video.path.name}: writing", first + len(frames), len(clip))
    notes = tuple(
        f"its sound could not be kept in {path.name} ({sound.lost})"
        for path, sound in zip(paths.values(), sounds, strict=True)
        if sound.lost
    )
    return Written(paths, notes)

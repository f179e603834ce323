"""Clips of one's own through a job, with what became of each as facts for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from magdr_core.cli.jobs import AttackJob, Defend, Detect, Result
from magdr_core.cli.paths import Input
from magdr_core.cli.photos import PhotoWork
from magdr_core.errors import DataError
from magdr_core.inference.clip_writer import write_clip
from magdr_core.inference.followed import Followed, Step, follow
from magdr_core.inference.loaded import ALL, LARGEST, because
from magdr_core.inference.videos import Clip, one_for_all, treated_clip
from magdr_core.media import Box, cut, read_video
from magdr_core.media.video_writer import check_writable_size


class ClipWork:
    """Runs a job over clips; what to do is said by the work on pictures."""

    def __init__(self, work: PhotoWork, step: Step) -> None:
        self.work = work
        self.step = step

    def run(self, given: Input) -> None:
        """Whatever goes wrong costs this clip alone."""
        try:
            facts = self._treated(given)
        except Exception as e:
            self.work.skip(given, because(given, e))
        else:
            self.work.done(given, facts)

    def _treated(self, given: Input) -> dict[str, Any]:
        work, job = self.work, self.work.job
        if isinstance(job, AttackJob):
            return self._attacked(given, job)
        assert isinstance(job, Detect | Defend)
        if work.wanted not in (ALL, LARGEST, 1):
            raise DataError(f"{given.path}: in clips the largest face is followed, not face {work.wanted}")
        clip = treated_clip(
            given, job, work.conditions, work.device, finder=work.finder, out=work.out, step=self.step
        )
        return _judged_facts(clip, job)

    def _attacked(self, given: Input, job: AttackJob) -> dict[str, Any]:
        work, out, video = self.work, self.work.out, read_video(given.path)
        assert out is not None
        check_writable_size(given.path, video.width, video.height)
        clip = follow(video, finder=work.finder, step=self.step)
        names = [f"{given.name}#{i}" for i in range(len(clip))]
        conditions = one_for_all(clip, work.conditions, job.generator.size, work.device)
        of_frames: list[dict[str, Any]] = []

        def attacked(x: Tensor, first: int) -> list[Result]:
            return job(x, conditions(x), names[first : first + len(x)])

        def seen(result: Result, before: Tensor, changed: Tensor, box: Box) -> None:
            again = cut(changed, box, job.generator.size).to(work.device)
            left = job.survived(before, again, conditions(before[None]))
            of_frames.append({**result.facts, **left})

        written = write_clip(
            clip,
            given.results(out, job.suffix),
            job,
            attacked,
            work.device,
            caption=given.path.name,
            step=self.step,
            seen=seen,
        )
        facts = _clip_facts(clip, [*video.notes, *written.notes])
        disrupted = sum(f["disrupted"] for f in of_frames)
        return {
            **facts,
            "output_mse": _median([f["output_mse"] for f in of_frames]),
            "frames_disrupted": disrupted,
            "disrupted": 2 * disrupted > len(of_frames),
            "largest_change": max((f["largest_change"] for f in of_frames), key=_numerator),
            "output_mse_in_file": _median([f["output_mse_in_file"] for f in of_frames]),
            "files": {name: str(path) for name, path in written.files.items()},
        }


def _clip_facts(clip: Followed, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": "clip",
        "width": clip.video.width,
        "height": clip.video.height,
        "frames": len(clip),
        "fps": round(clip.fps, 3),
        "seconds": round(clip.end, 3),
        "times": [round(t, 6) for t in clip.times],
        "notes": list(notes),
    }


def _judged_facts(clip: Clip, job: Detect | Defend) -> dict[str, Any]:
    verdict, frames = clip.verdict, clip.frames
    facts = {
        "kind": "clip",
        "width": clip.width,
        "height": clip.height,
        "frames": len(frames),
        "fps": round(clip.fps, 3),
        "seconds": round(clip.seconds, 3),
        "times": [round(f.time, 6) for f in frames],
        "notes": list(clip.notes),
        "verdict": verdict.word,
        "flagged": verdict.disrupted,
        "score": verdict.score,
        "threshold": verdict.threshold,
        "covered_by_calibration": not verdict.guess,
        "frames_flagged": sum(f.flagged for f in frames),
        "frames_disrupted": sum(f.disrupted for f in frames),
        "stretches": clip.stretches,
        "scores": [f.score for f in frames],
        "regions": verdict.regions,
        "processings": verdict.processings,
        "forwards": clip.forwards,
    }
    if isinstance(job, Defend):
        facts["plan"] = list(verdict.plan)
        facts["files"] = {name: str(path) for name, path in clip.files.items()}
    return facts


def _median(values: Sequence[float]) -> float:
    return round(float(np.median(values)), 4)


def _numerator(fraction: str) -> int:
    return int(fraction.split("/")[0])

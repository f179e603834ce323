"""Clips through a pipeline: frame by frame, with one steady verdict and one restoration for all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.inference.clip_writer import write_clip
from magdr_core.inference.followed import Followed, Step, follow
from magdr_core.inference.operations import Defend, Detect, Result
from magdr_core.inference.shown import Conditions
from magdr_core.inference.sources import Input, copied
from magdr_core.magdr.verdict import Verdict, verdict_words
from magdr_core.media import Box, FaceFinder, read_video
from magdr_core.media.track import half_second_medians, steady, stretches
from magdr_core.media.video_writer import check_writable_size

SAMPLED = 8
"""Disrupted frames on which the restoration of a clip is chosen."""

STRETCHES_SHOWN = 4


@dataclass(frozen=True)
class ClipFrame:
    """What was decided about one frame.

    Attributes:
        time: when it is shown, in seconds from the beginning of the file.
        box: the place of the face.
        flagged: its own score is above the threshold.
        disrupted: it belongs to a disrupted stretch of the clip, whatever its own score: running medians
            decide, so that verdicts do not flicker.
        score: suspicion of it alone, rounded as in `Outcome.explain`.
        covered: the calibration covers images and edits like it.
        regions, processings: as in `Verdict`, rounded.
    """

    time: float
    box: Box
    flagged: bool
    disrupted: bool
    score: float
    covered: bool
    regions: Mapping[str, float] = field(repr=False)
    processings: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class Clip:
    """What became of one clip.

    Attributes:
        path: the file.
        name: what its results are called, before their suffixes.
        width, height: of a frame as it is shown, in pixels.
        fps: frames per second on average.
        seconds: when the last frame ends.
        frames: the decision about each, in order.
        verdict: about the clip: disrupted if any stretch is. `score` is the highest running median over half
            a second, `plan` the restorations that every disrupted frame was given, `regions` and
            `processings` medians over disrupted frames (over all, if there are none). It is a guess where
            the calibration does not cover most of these frames.
        stretches: (begin, end) in seconds of each disrupted stretch.
        forwards: generator passes per frame.
        notes: what of the file's own word was not believed, and sound that could not be kept.
        files: what was written, by what it is: `restored` (without loss; `unchanged`, a copy of the file,
            where nothing was), `output`, `compare`; empty if nothing was to be written.
    """

    path: Path
    name: str
    width: int
    height: int
    fps: float
    seconds: float
    frames: tuple[ClipFrame, ...] = field(repr=False)
    verdict: Verdict
    stretches: tuple[tuple[float, float], ...]
    forwards: float
    notes: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Which frames and times are disrupted, in words; "" if none are."""
        count = sum(frame.disrupted for frame in self.frames)
        return stretches_in_words(count, len(self.frames), self.stretches)

    @property
    def words(self) -> str:
        """The verdict in one line, with the times that it is about."""
        v = self.verdict
        return verdict_words(v.score, v.threshold, guess=v.guess, where=self.where)

    def __str__(self) -> str:
        return f"{self.path}: {self.words}"

    def __repr__(self) -> str:
        size = f"{len(self.frames)} frames of {self.width} x {self.height} pixels, {self.seconds:.3g} s"
        written = f"; written: {', '.join(self.files)}" if self.files else ""
        return f"<Clip {self.path}: {size}; {self.words}{written}>"


def stretches_in_words(disrupted: int, frames: int, stretches: Sequence[Sequence[float]]) -> str:
    """Which of a clip's frames and times are disrupted, the first few; "" if none are."""
    if not disrupted:
        return ""
    shown = [f"{begin:g} to {end:g} s" for begin, end in stretches[:STRETCHES_SHOWN]]
    more = ["..."] if len(stretches) > STRETCHES_SHOWN else []
    return f" in {disrupted} of {frames} frames, {', '.join([*shown, *more])}"


def treated_clip(
    given: Input,
    job: Detect | Defend,
    conditions: Conditions,
    device: torch.device,
    *,
    finder: FaceFinder | None,
    out: Path | None = None,
    step: Step = lambda what, done, total: None,
) -> Clip:
    """Judge a clip and, if it is to be written, restore its disrupted stretches.

    It is decoded up to four times rather than held in memory: to follow the face, to score the frames, to
    choose the restoration, and to write the results.

    Args:
        conditions: asked once, with the first few cuts; what it says of most of them is used for all.
        finder: of faces; None for no search, the largest square in the middle.
        out: the folder of the results; None if nothing is written, and `Defend` only says what it would do.
        step: told (what, done, total).

    Raises:
        DataError: it cannot be read or written, no frame shows a face, or PyAV is missing.
    """
    video = read_video(given.path)
    if out is not None:
        check_writable_size(given.path, video.width, video.height)
    followed = follow(video, finder=finder, step=step)
    conditions = one_for_all(followed, conditions, job.generator.size, device)
    before = job.generator.passes
    clip = _judged(given, followed, job, conditions, device, step)
    if isinstance(job, Defend):
        clip = replace(
            clip, verdict=replace(clip.verdict, plan=_plan(followed, clip, job, conditions, device))
        )
        if out is not None:
            paths = given.results(out, job.suffix)
            changed, copy = paths[job.suffix], given.unchanged(out)
            if not clip.verdict.plan:
                del paths[job.suffix]
            written = write_clip(
                followed,
                paths,
                job,
                _Restoring(job, conditions, clip),
                device,
                caption=f"{given.path.name}: {clip.words}",
                step=step,
            )
            files = dict(written.files)
            if not clip.verdict.plan:
                files = {"unchanged": copied(given.path, copy), **files}
            # What an earlier call made of it must not be taken for the result of this one.
            (copy if clip.verdict.plan else changed).unlink(missing_ok=True)
            clip = replace(clip, notes=(*clip.notes, *written.notes), files=files)
    return replace(clip, forwards=round((job.generator.passes - before) / len(followed), 1))


def one_for_all(followed: Followed, conditions: Conditions, size: int, device: torch.device) -> Conditions:
    """The condition that most of a clip's first cuts have, for every frame alike."""
    _, _, x = next(followed.cuts(size, device))
    each = conditions(x)
    alike = [int((~each.differs(each[[i]].repeat(len(x)))).sum()) for i in range(len(x))]
    usual = each[[alike.index(max(alike))]]
    return lambda x: usual.repeat(len(x))


def _judged(
    given: Input,
    followed: Followed,
    job: Detect | Defend,
    conditions: Conditions,
    device: torch.device,
    step: Step,
) -> Clip:
    """Every frame scored, and the clip's verdict, as yet without a plan."""
    told: list[dict[str, Any]] = []
    for first, _, x in followed.cuts(job.generator.size, device):
        outcome = job.pipeline.inspect(x, conditions(x))
        told += [job.evidence(outcome, i) for i in range(len(x))]
        step(f"{given.path.name}: judging", first + len(x), len(followed))
    threshold = told[0]["threshold"]
    medians = half_second_medians([t["score"] for t in told], followed.times)
    states = steady(medians, threshold)
    frames = tuple(
        ClipFrame(
            time,
            box,
            t["flagged"],
            state,
            t["score"],
            t["covered_by_calibration"],
            t.get("regions", {}),
            t.get("processings", {}),
        )
        for time, box, state, t in zip(followed.times, followed.boxes, states, told, strict=True)
    )
    telling = [f for f in frames if f.disrupted] or frames
    verdict = Verdict(
        disrupted=any(states),
        score=round(max(medians), 4),
        threshold=threshold,
        guess=2 * sum(f.covered for f in telling) <= len(telling),
        rounds=0,
        plan=(),
        regions=_medians([f.regions for f in telling]),
        processings=_medians([f.processings for f in telling]),
    )
    video = followed.video
    return Clip(
        path=given.path,
        name=given.name,
        width=video.width,
        height=video.height,
        fps=followed.fps,
        seconds=followed.end,
        frames=frames,
        verdict=verdict,
        stretches=tuple(stretches(states, followed.times, followed.end)),
        forwards=0.0,
        notes=video.notes,
    )


def _plan(
    followed: Followed, clip: Clip, job: Defend, conditions: Conditions, device: torch.device
) -> tuple[str, ...]:
    """What MagDR chooses most often on up to `SAMPLED` disrupted frames, spread over the clip."""
    disrupted = [i for i, frame in enumerate(clip.frames) if frame.disrupted]
    chosen = {disrupted[k * len(disrupted) // SAMPLED] for k in range(SAMPLED)} if disrupted else set()
    plans: Counter[tuple[str, ...]] = Counter()
    for first, _, x in followed.cuts(job.generator.size, device) if chosen else ():
        here = [i - first for i in sorted(chosen) if first <= i < first + len(x)]
        if here:
            plans.update(tuple(p) for p in job.pipeline.defend(x[here], conditions(x[here])).plans)
    return plans.most_common(1)[0][0] if plans else ()


class _Restoring:
    """Frames of disrupted stretches are restored alike, since a choice per frame would flicker; those outside
    are left as they are."""

    def __init__(self, job: Defend, conditions: Conditions, clip: Clip) -> None:
        self.job = job
        self.conditions = conditions
        self.frames = clip.frames
        known, plan = job.pipeline.magdr.candidates, clip.verdict.plan
        # Searching forms compose their plans as they go; they choose for each frame.
        self.maps = [known[name] for name in plan] if all(name in known for name in plan) else None

    @torch.no_grad()
    def __call__(self, x: Tensor, first: int) -> list[Result]:
        """Cuts `[n,3,S,S]`, of which the first is frame `first`."""
        c = self.conditions(x)
        restored = x.clone()
        rows = [i for i in range(len(x)) if self.frames[first + i].disrupted]
        if rows:
            idx = torch.tensor(rows, device=x.device)
            restored[idx] = self._restored(x[idx], c[idx])
        disrupted = torch.tensor([self.frames[first + i].disrupted for i in range(len(x))], device=x.device)
        return self.job.results(x, c, restored, [{} for _ in range(len(x))], disrupted, c)

    def _restored(self, x: Tensor, c: Condition) -> Tensor:
        if self.maps is None:
            return self.job.pipeline.reconstruct(x, c)
        for restore in self.maps:
            x = restore(x)
        return x


def _medians(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each name, over the frames that have it."""
    names = dict.fromkeys(name for one in values for name in one)
    return {name: round(float(np.median([one[name] for one in values if name in one])), 4) for name in names}

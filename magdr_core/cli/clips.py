"""Clips of one's own through a job: frame by frame, with one steady verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.cli.jobs import Attack, Defend, Detect, Result
from magdr_core.cli.paths import Input
from magdr_core.cli.photos import PhotoWork
from magdr_core.cli.verdict_text import verdict_line
from magdr_core.components.batch import Condition
from magdr_core.errors import DataError
from magdr_core.functional import batch_size
from magdr_core.inference.photos import because
from magdr_core.media import Box, Video, cut, paste, paste_change, read_video, video_writer, whole_cut
from magdr_core.media.panels import side_by_side
from magdr_core.media.sound import Sound
from magdr_core.media.track import face_track, half_second_medians, steady, stretches
from magdr_core.media.video_writer import check_writable_size

BATCH_PIXELS = 8_000_000
"""Of all frames that are held at once, so that large ones do not take sixteen times their size."""

SAMPLED = 8
"""Disrupted frames on which the restoration of a clip is chosen."""

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Followed:
    """A clip whose face was followed: when each frame is shown, and where its cut is."""

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


class ClipWork:
    """Runs a job over clips; what to do is said by the work on pictures.

    A clip is decoded three times rather than held in memory: to follow the face, to score the frames, and to
    write the results.
    """

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
        video = read_video(given.path)
        if self.work.out is not None:
            check_writable_size(given.path, video.width, video.height)
        clip = self._follow(video)
        if not clip.boxes:
            raise DataError(f"{given.path}: no face was found in any frame; try --whole")
        facts: dict[str, Any] = {
            "kind": "clip",
            "width": clip.video.width,
            "height": clip.video.height,
            "frames": len(clip),
            "fps": round(clip.fps, 3),
            "seconds": round(clip.end, 3),
            "times": [round(t, 6) for t in clip.times],
            "notes": list(clip.video.notes),
        }
        job = self.work.job
        before = job.generator.passes
        if isinstance(job, Attack):
            names = [f"{given.name}#{i}" for i in range(len(clip))]
            self._write(given, clip, facts, lambda x, at: job(x, self._c(x), names[at : at + len(x)]))
            self._sum_up_attack(facts)
        else:
            assert isinstance(job, Detect | Defend)
            states = self._judge(clip, facts, job)
            if isinstance(job, Defend):
                facts["plan"] = self._plan(clip, states, job)
                work = _Restoring(job, self._c, states, facts["plan"])
                self._write(given, clip, facts, work)
                del facts["of_frames"]
            facts["forwards"] = round((job.generator.passes - before) / len(clip), 1)
        return facts

    def _c(self, x: Tensor) -> Condition:
        return self.work.conditions(len(x))

    def _follow(self, video: Video) -> _Followed:
        name = video.path.name
        if self.work.whole:
            times = [seconds for seconds, _ in video.levels()]
            return _Followed(video, times, [whole_cut(video.height, video.width)] * len(times))
        expected = max(1, video.expected)
        times, boxes = face_track(
            video.levels(), progress=lambda done: self.step(f"{name}: following the face", done, expected)
        )
        return _Followed(video, times, boxes)

    def _cuts(self, clip: _Followed) -> Iterator[tuple[int, list[Tensor], Tensor]]:
        """(first frame, frames as uint8, their cuts on the device), a few at a time."""
        size = self.work.job.generator.size
        together = min(
            batch_size((size, size), "deliver", self.work.device),
            max(1, BATCH_PIXELS // (clip.video.height * clip.video.width)),
        )
        frames, first = (levels for _, levels in clip.video.levels()), 0
        while batch := list(islice(frames, together)):
            cuts = [cut(frame, box, size) for frame, box in zip(batch, clip.boxes[first:], strict=False)]
            yield first, batch, torch.stack(cuts).to(self.work.device)
            first += len(batch)

    # -- judging ----------------------------------------------------------------------------------------

    def _judge(self, clip: _Followed, facts: dict[str, Any], job: Detect | Defend) -> list[bool]:
        """Score every frame; the clip's verdict goes into `facts`."""
        told: list[dict[str, Any]] = []
        for first, _, x in self._cuts(clip):
            outcome = job.pipeline.inspect(x, self._c(x))
            told += [job.evidence(outcome, i) for i in range(len(x))]
            self.step(f"{clip.video.path.name}: judging", first + len(x), len(clip))
        scores = [t["score"] for t in told]
        medians = half_second_medians(scores, clip.times)
        states = steady(medians, told[0]["threshold"])
        of_interest = [t for t, s in zip(told, states, strict=True) if s] or told
        facts |= {
            "verdict": "disrupted" if any(states) else "clean",
            "score": round(max(medians), 4),
            "threshold": told[0]["threshold"],
            "covered_by_calibration": 2 * sum(t["covered_by_calibration"] for t in of_interest)
            > len(of_interest),
            "frames_flagged": sum(t["flagged"] for t in told),
            "frames_disrupted": sum(states),
            "stretches": stretches(states, clip.times, clip.end),
            "scores": scores,
        }
        for key in ("regions", "processings"):
            names = dict.fromkeys(name for t in of_interest for name in t.get(key, {}))
            facts[key] = {n: _median([t[key][n] for t in of_interest if n in t[key]]) for n in names}
        return states

    def _plan(self, clip: _Followed, states: Sequence[bool], job: Defend) -> list[str]:
        """What MagDR chooses most often on up to `SAMPLED` disrupted frames, spread over the clip."""
        disrupted = [i for i, state in enumerate(states) if state]
        chosen = {disrupted[k * len(disrupted) // SAMPLED] for k in range(SAMPLED)} if disrupted else set()
        plans: Counter[tuple[str, ...]] = Counter()
        for first, _, x in self._cuts(clip):
            here = [i - first for i in sorted(chosen) if first <= i < first + len(x)]
            if here:
                plans.update(tuple(p) for p in job.pipeline.defend(x[here], self._c(x[here])).plans)
        return list(plans.most_common(1)[0][0]) if plans else []

    def _sum_up_attack(self, facts: dict[str, Any]) -> None:
        of_frames = facts.pop("of_frames")
        facts["output_mse"] = _median([f["output_mse"] for f in of_frames])
        facts["frames_disrupted"] = sum(f["disrupted"] for f in of_frames)
        facts["disrupted"] = 2 * facts["frames_disrupted"] > len(of_frames)
        facts["largest_change"] = max((f["largest_change"] for f in of_frames), key=_numerator)
        facts["output_mse_in_file"] = _median([f["output_mse_in_file"] for f in of_frames])

    # -- writing ----------------------------------------------------------------------------------------

    def _write(
        self,
        given: Input,
        clip: _Followed,
        facts: dict[str, Any],
        work: Callable[[Tensor, int], list[Result]],
    ) -> None:
        """The changed clip without loss, the output and the comparison for players, all with the sound."""
        job, out = self.work.job, self.work.out
        assert out is not None
        paths = given.results(out, job.suffix)
        facts["of_frames"] = []
        caption = f"{given.path.name}: {verdict_line(facts)}" if "verdict" in facts else given.path.name
        sounds = [Sound.under(path, given.path) for path in paths.values()]
        with ExitStack() as stack:
            changed_clip, output_clip, compare_clip = (
                stack.enter_context(
                    video_writer(path, clip.video.fps, lossless=path.suffix == ".mkv", sound=sound)
                )
                for path, sound in zip(paths.values(), sounds, strict=True)
            )
            for first, frames, x in self._cuts(clip):
                for i, result in enumerate(work(x, first)):
                    frame, box, at = frames[i], clip.boxes[first + i], clip.times[first + i]
                    changed = paste_change(frame, box, x[i].cpu(), result.changed.cpu(), limit=job.limit)
                    if isinstance(job, Attack):
                        again = cut(changed, box, job.generator.size).to(self.work.device)
                        result.facts.update(job.survived(x[i], again, self.work.condition))
                    changed_clip(changed, at)
                    output_clip(paste(changed, box, result.output.cpu()), at)
                    panels = [(label, image.cpu()) for label, image in result.panels]
                    compare_clip(side_by_side(panels, caption), at)
                    facts["of_frames"].append(result.facts)
                self.step(f"{given.path.name}: writing", first + len(frames), len(clip))
        facts["notes"] += [
            f"its sound could not be kept in {path.name} ({sound.lost})"
            for path, sound in zip(paths.values(), sounds, strict=True)
            if sound.lost
        ]
        facts["files"] = {name: str(path) for name, path in paths.items()}


class _Restoring:
    """Frames of disrupted stretches are restored alike, since a choice per frame would flicker; those outside
    are left as they are.

    Args:
        plan: names of the candidates that are applied, one after the other.
    """

    def __init__(
        self,
        job: Defend,
        conditions: Callable[[Tensor], Condition],
        states: Sequence[bool],
        plan: Sequence[str],
    ) -> None:
        self.job = job
        self.conditions = conditions
        self.states = states
        chains = job.pipeline.magdr.candidates
        # Searching forms compose their plans as they go; they choose for each frame.
        self.chains = [chains[name] for name in plan] if all(name in chains for name in plan) else None

    @torch.no_grad()
    def __call__(self, x: Tensor, first: int) -> list[Result]:
        c = self.conditions(x)
        restored = x.clone()
        idx = torch.tensor([i for i in range(len(x)) if self.states[first + i]], device=x.device)
        if len(idx):
            restored[idx] = self._restored(x[idx], c[idx])
        return self.job.results(x, c, restored, [{} for _ in range(len(x))])

    def _restored(self, x: Tensor, c: Condition) -> Tensor:
        if self.chains is None:
            return self.job.pipeline.reconstruct(x, c)
        for chain in self.chains:
            x = chain(x)
        return x


def _median(values: Sequence[float]) -> float:
    return round(float(np.median(values)), 4)


def _numerator(fraction: str) -> int:
    return int(fraction.split("/")[0])

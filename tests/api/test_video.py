"""A clip through the library: what the commands do to it, as a value."""

import math
import sys
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from magdr_core.errors import DataError
from magdr_core.functional import resize
from magdr_core.inference import Pipeline
from magdr_core.media import read_video, write_video
from magdr_core.media.tilted import turned
from tests.api.conftest import EDITS

pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")

FPS, FRAMES = 8, 12


@pytest.fixture(scope="module")
def shown(astronaut):
    """A face that wanders for a second and a half."""
    person = torch.from_numpy(np.array(astronaut)).permute(2, 0, 1)[None].float() / 255
    person = resize(person, 100)[0]
    frames = []
    for i in range(FRAMES):
        frame = torch.full((3, 112, 140), 0.5)
        frame[:, 4:104, 4 + 2 * i : 104 + 2 * i] = person
        frames.append((frame * 255).round() / 255)
    return frames


@pytest.fixture
def clip(shown, tmp_path):
    path = tmp_path / "clip.mkv"
    write_video(path, shown, FPS)
    return path


def test_every_frame_is_decided_and_the_clip_has_one_verdict(calibrated, clip):
    found = calibrated("always").video(clip, edits=EDITS)
    assert len(found.frames) == FRAMES
    assert [frame.time for frame in found.frames] == pytest.approx([i / FPS for i in range(FRAMES)])
    assert all(frame.flagged and frame.disrupted for frame in found.frames)
    assert found.verdict.disrupted
    assert found.stretches == ((0.0, FRAMES / FPS),)
    assert (found.width, found.height, found.fps) == (140, 112, FPS)
    assert f"clip.mkv: disrupted in {FRAMES} of {FRAMES} frames, 0 to 1.5 s (score" in str(found)
    lefts = [frame.box.left for frame in found.frames]
    assert lefts == sorted(lefts)
    assert lefts[-1] - lefts[0] > FRAMES, "the face was followed"


def test_without_a_folder_nothing_is_written(calibrated, clip):
    found = calibrated("never").video(clip, edits=EDITS)
    assert not found.verdict.disrupted
    assert (found.files, found.verdict.plan, found.stretches) == ({}, (), ())
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mkv"]


def test_a_clean_clip_is_written_as_it_is(calibrated, clip, shown, tmp_path):
    found = calibrated("never").video(clip, edits=EDITS, out=tmp_path / "out")
    assert set(found.files) == {"unchanged", "output", "compare"}
    assert found.files["unchanged"].read_bytes() == clip.read_bytes()
    assert all(len(list(read_video(path))) == FRAMES for path in found.files.values())


class Scripted(Pipeline):
    """A pipeline that is told which frames look suspicious, and that chooses the same for all but one."""

    def defend(self, images, c, **options):
        self.chosen = [name for name in self.magdr.candidates if name][:2]
        plans = [[self.chosen[0]]] * (len(images) - 1) + [[self.chosen[1]]]
        return replace(super().defend(images, c, **options), plans=plans)

    def inspect(self, images, c, **options):
        outcome = super().inspect(images, c, **options)
        high, self.suspicious = self.suspicious[: len(images)], self.suspicious[len(images) :]
        flagged = torch.tensor(high)
        score = outcome.threshold + torch.where(flagged, 2.0, -2.0)
        return replace(outcome, score=score, flagged=flagged)


def scripted(own):
    magdr = Scripted(own.generator, own.magdr, device=own.device)
    magdr.magdr = copy(own.magdr)
    magdr.magdr.detector = replace(own.magdr.detector, thresholds={"fpr": 0.0, "f1": 0.0})
    return magdr


def test_a_verdict_does_not_flicker_and_clean_frames_stay(calibrated, clip, shown, tmp_path):
    magdr = scripted(calibrated("always"))
    # A single suspicious frame, then a stretch with a single one that looks clean.
    marks = "0100001110111"
    magdr.suspicious = [mark == "1" for mark in marks][:FRAMES]
    found = magdr.video(clip, edits=EDITS, out=tmp_path / "out")
    assert [frame.flagged for frame in found.frames] == [mark == "1" for mark in marks][:FRAMES]
    disrupted = [frame.disrupted for frame in found.frames]
    assert disrupted == [False] * 6 + [True] * 6
    assert found.stretches == ((6 / FPS, FRAMES / FPS),)
    assert " in 6 of 12 frames, 0.75 to 1.5 s" in str(found)
    restored = list(read_video(found.files["restored"]))
    kept = [torch.equal(a, b) for a, b in zip(restored, shown, strict=True)]
    assert kept[:6] == [True] * 6
    assert kept[6:] == [False] * 6
    assert found.verdict.plan == (magdr.chosen[0],), "what is chosen most often, for all frames alike"


def test_it_is_what_the_command_does(calibrated, own, clip, tmp_path):
    (told,) = own("defend", clip, "--json", flags="always").document["results"]
    found = calibrated("always").video(str(clip), edits=EDITS, out=str(tmp_path / "out"))
    assert [frame.score for frame in found.frames] == told["scores"]
    assert (found.verdict.score, found.verdict.threshold) == (told["score"], told["threshold"])
    assert list(found.verdict.plan) == told["plan"]
    assert found.verdict.regions == told["regions"]
    ours, theirs = (
        torch.stack(list(read_video(path))) for path in (found.files["output"], told["files"]["output"])
    )
    assert list(found.files) == list(told["files"])
    assert torch.equal(ours, theirs)


def test_a_ready_condition_means_the_same_as_edits(calibrated, clip):
    magdr = calibrated("always")
    nothing = dict.fromkeys(("Black_Hair", "Brown_Hair", "Smiling", "Eyeglasses"), 0)
    by_edits = magdr.video(clip, edits=EDITS, has=nothing)
    by_condition = magdr.video(clip, magdr.condition({}, Blond_Hair=1))
    assert [f.score for f in by_condition.frames] == [f.score for f in by_edits.frames]
    with pytest.raises(DataError, match="say what the generator shall do"):
        magdr.video(clip)


def test_progress_is_told(calibrated, clip, tmp_path):
    told = []
    calibrated("always").video(clip, edits=EDITS, out=tmp_path / "out", progress=lambda *t: told.append(t))
    assert told[0][0] == "clip.mkv: following the face"
    assert told[-1] == ("clip.mkv: writing", FRAMES, FRAMES)
    assert ("clip.mkv: judging", FRAMES, FRAMES) in told


def test_what_cannot_be_used_is_said(calibrated, tmp_path, monkeypatch):
    magdr = calibrated("never")
    wall = tmp_path / "wall.mkv"
    write_video(wall, [torch.full((3, 64, 64), 0.5)] * 4, 4)
    with pytest.raises(DataError, match=r"no face was found in any frame.*whole=True"):
        magdr.video(wall, edits=EDITS)
    assert len(magdr.video(wall, edits=EDITS, whole=True).frames) == 4
    with pytest.raises(DataError, match=r"gone\.mkv"):
        magdr.video(tmp_path / "gone.mkv", edits=EDITS)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match="pip install 'magdr"):
        magdr.video(wall, edits=EDITS)


def test_a_turned_face_is_cut_and_put_back_as_it_stands(calibrated, astronaut, tmp_path):
    person = torch.from_numpy(np.array(astronaut)).permute(2, 0, 1).float() / 255
    size, fps = 150, 4
    frames = [
        (turned(person, (110 + i, 115 + 2 * i), (size, size), -20.0) * 255).round() / 255 for i in range(4)
    ]
    path = tmp_path / "turned.mkv"
    write_video(path, frames, fps)
    magdr = scripted(calibrated("always"))
    magdr.suspicious = [True] * 4
    found = magdr.video(path, edits=EDITS, out=tmp_path / "out")
    angles = [frame.box.angle for frame in found.frames]
    assert angles == pytest.approx([20 - 4] * 4, abs=8)  # she holds her head a little to the side herself
    outputs = list(read_video(found.files["restored"]))
    for before, after, frame in zip(frames, outputs, found.frames, strict=True):
        row, column = frame.box.centre
        down, right = torch.meshgrid(
            torch.arange(size) + 0.5 - row, torch.arange(size) + 0.5 - column, indexing="ij"
        )
        a = math.radians(frame.box.angle)
        across, along = right * math.cos(a) - down * math.sin(a), right * math.sin(a) + down * math.cos(a)
        inside = torch.maximum(across.abs(), along.abs()) <= frame.box.side / 2
        moved = (after - before).abs().amax(0) > 0
        assert not (moved & ~inside).any(), "outside the turned square every pixel is as it was"
        assert moved[inside].float().mean() > 0.3
        assert moved[inside & (torch.maximum(right.abs(), down.abs()) > frame.box.side / 2)].any()

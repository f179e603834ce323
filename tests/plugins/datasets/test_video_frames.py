"""The frames of one video file as a dataset."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magdr_plugins.datasets._clips import FrameMemory, PictureClip

from magdr_core.api import write_video

pytest.importorskip("av")


def frames(count, height=48, width=64):
    """Random 8-bit frames."""
    rng = np.random.default_rng(3)
    return [
        torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8)).float() / 255
        for _ in range(count)
    ]


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mkv"
    write_video(path, frames(20), 25)
    return path


def test_video_splits_are_stretches_of_time(clip, holds):
    data = holds("video", path=clip, size=48)
    assert [len(data.split(n)) for n in ("train", "calibration", "test")] == [12, 4, 4]
    batch = data.split("calibration")[[0, 3]]
    assert batch.ids == ("clip.mkv-000012", "clip.mkv-000015")
    expected = torch.stack([frames(20)[i][:, :, 8:56] for i in (12, 15)])  # the middle 48 of 64 columns
    assert torch.equal(batch.images, expected)
    assert batch.identities.tolist() == [0, 0]


def test_video_stride_takes_every_nth_frame(clip, dataset):
    split = dataset("video", path=clip, size=48, stride=6, split="test").split("test")
    batch = split[[3, 0, 1, 1]]  # back and forth, and twice the same
    assert len(split) == 4
    assert batch.ids == tuple(f"clip.mkv-{i:06d}" for i in (18, 0, 6, 6))
    assert torch.equal(batch.images, torch.stack([frames(20)[i][:, :, 8:56] for i in (18, 0, 6, 6)]))


def test_video_reads_the_same_with_hardly_any_memory(clip, dataset, monkeypatch):
    monkeypatch.setattr("magdr_plugins.datasets._clips.CACHE_BYTES", 1)
    split = dataset("video", path=clip, size=48, split="test").split("test")
    for i in (5, 6, 2, 19, 19, 0):
        assert torch.equal(split[[i]].images[0], frames(20)[i][:, :, 8:56])


def test_video_memory_keeps_what_fits_and_forgets_the_oldest(monkeypatch, tmp_path):
    monkeypatch.setattr("magdr_plugins.datasets._clips.CACHE_BYTES", 2 * 3 * 4 * 4)
    memory, clip, loaded = FrameMemory(4), PictureClip(tmp_path), []

    def get(position):
        def load():
            loaded.append(position)
            yield position, torch.full((3, 4, 4), position / 255)

        return memory.get(clip, position, load)

    for position in (1, 2, 1, 3, 1, 2):  # the third one drives out 2, which was asked for longest ago
        assert torch.equal(get(position), torch.full((3, 4, 4), position / 255))
    assert loaded == [1, 2, 3, 2]


def test_video_action_units_choose_the_frames(clip, dataset, tmp_path):
    units = [f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]
    lines = [", ".join(["frame", "face_id", "timestamp", "confidence", "success", *units])]
    for frame, sure in ((1, 0.9), (2, 0.1), (8, 0.95)):
        lines.append(", ".join(map(str, [frame, 0, 0.0, sure, 1, *[frame / 2] * 17])))
    (tmp_path / "clip.csv").write_text("\n".join(lines))
    data = dataset("video", path=clip, size=48, split="test", action_units="clip.csv")
    batch = data.split("test")[[0, 1]]
    assert batch.ids == ("clip.mkv-000000", "clip.mkv-000007")
    assert torch.allclose(batch.action_units[:, 4], torch.tensor([0.1, 0.8]))


def test_video_that_ends_early_is_refused_when_first_used(clip, dataset, refusal):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    built = dataset("video", path=clip, size=48)
    text = refusal(lambda: built.split("test"))
    assert str(clip) in text


def test_video_fingerprint_follows_the_content(clip, dataset, tmp_path):
    first = dataset("video", path=clip).fingerprint()
    assert dataset("video", path=clip, stride=2).fingerprint() != first
    moved = tmp_path / "elsewhere" / "clip.mkv"
    moved.parent.mkdir()
    clip.rename(moved)
    assert dataset("video", path=moved).fingerprint() == first
    write_video(moved, frames(20)[::-1], 25)
    assert dataset("video", path=moved).fingerprint() != first


def test_video_that_is_missing_or_none_is_refused(dataset, refusal, tmp_path):
    assert "does not exist" in refusal(lambda: dataset("video", path=tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    text = refusal(lambda: dataset("video", path=tmp_path / "text.mp4").split("test"))
    assert "text.mp4: is not a video" in text

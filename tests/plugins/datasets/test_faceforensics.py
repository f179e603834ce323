"""FaceForensics++ as frames and as videos, originals and manipulations, official splits and a pair."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.api import write_video

PAIRS = {"train": [["000", "003"]], "val": [["001", "004"]], "test": [["002", "005"]]}
VIDEOS = [v for pairs in PAIRS.values() for v in pairs[0]]
FAKES = [f"{a}_{b}" for pairs in PAIRS.values() for x, y in pairs for a, b in ((x, y), (y, x))]
HEIGHT, WIDTH, COUNT = 32, 48, 8
SPLITS = ("train", "calibration", "test")


@pytest.fixture
def root(tmp_path, paint):
    """Eight frames a clip, counted from 0 (originals) and from 1 (manipulated, masks)."""
    root = tmp_path / "ff"
    (root / "splits").mkdir(parents=True)
    for name, pairs in PAIRS.items():
        (root / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    for v, video in enumerate(VIDEOS):
        for i in range(COUNT):
            path = root / "original_sequences" / "youtube" / "c23" / "images" / video / f"{i:04d}.png"
            paint(path, HEIGHT, WIDTH, seed=100 * v + i)
    fakes = root / "manipulated_sequences" / "Deepfakes"
    for v, fake in enumerate(FAKES):
        for i in range(COUNT):
            paint(
                fakes / "c23" / "images" / fake / f"{i + 1:04d}.png", HEIGHT, WIDTH, seed=1000 + 100 * v + i
            )
            marked = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
            marked[10:20, 4 + i : 14 + i] = 255  # moves to the right
            marked[0, 0] = 40  # noise of the compression
            path = fakes / "masks" / "images" / fake / f"{i + 1:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(marked).save(path)
    return root


def everything(data):
    return {name: data.split(name)[list(range(len(data.split(name))))] for name in SPLITS}


def frame(path, box=None, size=32):
    picture = Image.open(path)
    cropped = picture.crop(box or (8, 0, 40, 32))  # the middle 32 of 48 columns
    pixels = np.asarray(cropped.resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255


def test_faceforensics_originals_by_the_official_splits(root, holds):
    data = holds("faceforensics", path=root, size=32, stride=3, frames=2)
    batches = everything(data)
    # Frames 0 and 3: first the first one of every clip, so that few samples are many people.
    assert {n: b.ids for n, b in batches.items()} == {
        name: tuple(f"ff-original-{v}-{i:04d}" for i in (0, 3) for v in PAIRS[official][0])
        for name, official in zip(SPLITS, PAIRS, strict=True)
    }
    assert batches["test"].identities.tolist() == [2, 5, 2, 5]
    folder = root / "original_sequences" / "youtube" / "c23" / "images"
    assert torch.equal(batches["test"].images[3], frame(folder / "005" / "0003.png"))


def test_faceforensics_manipulated_clips_go_both_ways(root, holds):
    data = holds("faceforensics", path=root, size=32, method="Deepfakes", stride=7, frames=0)
    batches = everything(data)
    expected = tuple(f"ff-Deepfakes-{name}-{i:04d}" for i in (0, 7) for name in ("002_005", "005_002"))
    assert batches["test"].ids == expected
    assert batches["test"].identities.tolist() == [2, 5, 2, 5], "the target is who is seen"


def test_faceforensics_frames_from_one_are_the_same_frames(root, dataset):
    """Manipulated frame 0008.png and original frame 0007.png belong together."""
    split = dataset("faceforensics", path=root, size=32, method="Deepfakes", stride=7).split("test")
    folder = root / "manipulated_sequences" / "Deepfakes"
    assert torch.equal(split[[3]].images[0], frame(folder / "c23" / "images" / "005_002" / "0008.png"))
    original = root / "original_sequences" / "youtube" / "c23" / "images" / "005" / "0007.png"
    assert torch.equal(split.originals([3])[0], frame(original))
    marked = split.manipulated([3, 0])
    expected = torch.zeros(2, 1, 32, 32)
    expected[0, 0, 10:20, 3:13] = 1  # columns 11 to 20, less the 8 that the crop takes off
    expected[1, 0, 10:20, 0:6] = 1
    assert torch.equal(marked, expected)


def test_faceforensics_originals_have_no_masks(root, dataset, refusal):
    split = dataset("faceforensics", path=root, size=32).split("test")
    assert "has no manipulated frames" in refusal(lambda: split.manipulated([0]))
    assert "has no manipulated frames" in refusal(lambda: split.originals([0]))


@pytest.mark.parametrize("method", ["original", "Deepfakes"])
def test_faceforensics_crop_by_mask_is_one_square_around_the_face(root, dataset, method):
    split = dataset("faceforensics", path=root, size=16, method=method, stride=7, crop="mask").split("test")
    # Frames 0 and 7 mark columns 4 to 20 and rows 10 to 19: 17 wide, enlarged to 22, around (12, 15).
    box = (1, 4, 23, 26)
    image = split[[2]].images[0]
    folder = root / "original_sequences" / "youtube" / "c23" / "images" / "002" / "0007.png"
    if method != "original":
        assert torch.equal(split.originals([2])[0], frame(folder, box, 16))
        folder = root / "manipulated_sequences" / "Deepfakes" / "c23" / "images" / "002_005" / "0008.png"
    assert torch.equal(image, frame(folder, box, 16))


def test_faceforensics_one_original_may_be_cropped_in_two_ways(root, dataset):
    """A custom split file may pair one target with two sources, whose masks differ."""
    fakes = root / "manipulated_sequences" / "Deepfakes"
    for kind in ("c23", "masks"):
        for fake, name in (("002_005", "002_009"), ("005_002", "009_002")):
            shutil.copytree(fakes / kind / "images" / fake, fakes / kind / "images" / name)
    for file in (fakes / "masks" / "images" / "002_009").iterdir():
        marked = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
        marked[2:12, 2:12] = 255
        Image.fromarray(marked).save(file)
    (root / "splits" / "test.json").write_text('[["002", "005"], ["002", "009"]]')
    data = dataset("faceforensics", path=root, size=16, method="Deepfakes", stride=7, crop="mask")
    split = data.split("test")
    ids = split[list(range(4))].ids
    first, second = split.originals([ids.index(f"ff-Deepfakes-{n}-0000") for n in ("002_005", "002_009")])
    folder = root / "original_sequences" / "youtube" / "c23" / "images" / "002" / "0000.png"
    assert torch.equal(first, frame(folder, (1, 4, 23, 26), 16))
    assert torch.equal(second, frame(folder, (0, 0, 13, 13), 16))


def test_faceforensics_crop_by_mask_needs_a_marked_frame(root, dataset, refusal):
    folder = root / "manipulated_sequences" / "Deepfakes" / "masks" / "images" / "002_005"
    for file in folder.iterdir():
        Image.new("RGB", (WIDTH, HEIGHT)).save(file)
    split = dataset("faceforensics", path=root, size=16, crop="mask").split("test")
    assert f"{folder}: marks nothing" in refusal(lambda: split[[0]])
    assert len(split[[1]]) == 1
    shutil.rmtree(folder)
    split = dataset("faceforensics", path=root, size=16, crop="mask").split("test")
    assert "002_005.mp4: does not exist (nor" in refusal(lambda: split[[0]])


def test_faceforensics_pair_is_identities_a_and_b_split_by_time(root, holds):
    data = holds("faceforensics", path=root, size=32, stride=1, frames=5, pair=["004", "000"])
    batches = everything(data)
    assert batches["train"].ids == tuple(
        f"ff-original-{v}-{i:04d}" for i in (0, 1, 2) for v in ("004", "000")
    )
    assert batches["test"].ids == ("ff-original-004-0004", "ff-original-000-0004")
    assert batches["train"].attributes["Identity_B"].tolist() == [0.0, 1.0] * 3
    assert batches["calibration"].identities.tolist() == [4, 0]


def test_faceforensics_pair_needs_two_videos_and_no_split_files(root, dataset, refusal):
    shutil.rmtree(root / "splits")
    assert len(dataset("faceforensics", path=root, pair=["004", "000"]).split("train")) > 0
    for pair in (["000"], ["000", "000"], ["000", "001", "002"]):
        assert "expected two videos" in refusal(lambda p=pair: dataset("faceforensics", path=root, pair=p))


@pytest.mark.parametrize(("there", "asked"), [("raw", "c0"), ("c0", "raw"), ("c40", "c40")])
def test_faceforensics_raw_and_c0_are_one(root, dataset, there, asked):
    folder = root / "original_sequences" / "youtube"
    (folder / "c23").rename(folder / there)
    assert len(dataset("faceforensics", path=root, size=32, compression=asked).split("test")[[0, 1]]) == 2


def test_faceforensics_older_dumps_have_no_folder_youtube(root, dataset):
    folder = root / "original_sequences"
    (folder / "youtube" / "c23").rename(folder / "c23")
    assert len(dataset("faceforensics", path=root, size=32).split("test")[[0]]) == 1


def test_faceforensics_missing_clip_is_named(root, dataset, refusal):
    shutil.rmtree(root / "original_sequences" / "youtube" / "c23" / "images" / "005")
    data = dataset("faceforensics", path=root, size=32)
    assert len(data.split("train")) > 0
    text = refusal(lambda: data.split("test"))
    assert str(root / "original_sequences" / "youtube" / "c23" / "videos" / "005.mp4") in text


def test_faceforensics_split_files_are_checked(root, dataset, refusal):
    test = root / "splits" / "test.json"
    test.write_text('[["002", "003"]]')
    assert f"{test}: video 003 is also in train.json" in refusal(lambda: dataset("faceforensics", path=root))
    test.write_text('["002", "005"]')
    assert "is not a list of pairs" in refusal(lambda: dataset("faceforensics", path=root))
    test.unlink()
    assert "no official split file" in refusal(lambda: dataset("faceforensics", path=root))


def test_faceforensics_damaged_frame_is_named(root, dataset, refusal):
    path = root / "original_sequences" / "youtube" / "c23" / "images" / "005" / "0000.png"
    path.write_bytes(path.read_bytes()[:200])
    split = dataset("faceforensics", path=root, size=32).split("test")
    assert f"{path}: is damaged or truncated" in refusal(lambda: split[[1]])


def test_faceforensics_fingerprint_follows_clips_and_splits(root, dataset, paint):
    first = dataset("faceforensics", path=root).fingerprint()
    assert dataset("faceforensics", path=root, stride=5).fingerprint() != first
    assert dataset("faceforensics", path=root, method="Deepfakes").fingerprint() != first
    assert dataset("faceforensics", path=root, crop="mask").fingerprint() != first
    paint(root / "original_sequences" / "youtube" / "c23" / "images" / "005" / "0003.png", 24, 24)
    second = dataset("faceforensics", path=root).fingerprint()
    assert second != first
    (root / "splits" / "val.json").write_text("[]")
    assert dataset("faceforensics", path=root).fingerprint() not in (first, second)


def levels(video, count=60):
    """Frame i of a video is grey all over, at a level of its own."""
    return [torch.full((3, 48, 64), (20 + 3 * i + video) / 255) for i in range(count)]


def test_faceforensics_videos_are_read_at_the_sampled_frames(tmp_path, holds, dataset, refusal):
    pytest.importorskip("av")
    root = tmp_path / "ff"
    (root / "splits").mkdir(parents=True)
    for name, pairs in PAIRS.items():
        (root / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    for i, video in enumerate(VIDEOS):
        path = root / "original_sequences" / "youtube" / "c23" / "videos" / f"{video}.mp4"
        write_video(path, levels(i), 25, lossless=False)
    data = holds("faceforensics", path=root, size=16, source="videos", stride=20)
    split = data.split("test")
    assert len(split) == 6, "frames 0, 20 and 40 of two videos"
    batch = split[[5, 0, 2]]
    assert batch.ids == ("ff-original-005-0040", "ff-original-002-0000", "ff-original-002-0020")
    seen = batch.images.mean((1, 2, 3)) * 255
    assert torch.allclose(seen, torch.tensor([20 + 120 + 5, 20 + 0 + 4.0, 20 + 60 + 4]), atol=1.5)

    fakes = root / "manipulated_sequences" / "Face2Face"
    for i, fake in enumerate(("002_005", "005_002")):
        write_video(fakes / "c23" / "videos" / f"{fake}.mp4", levels(10 + i), 25, lossless=False)
        marked = torch.zeros(3, 48, 64)
        marked[:, 16:32, 20:36] = 1
        write_video(fakes / "masks" / "videos" / f"{fake}.mp4", [marked] * 60, 25, lossless=False)
    both = {"path": root, "size": 16, "stride": 20, "method": "Face2Face"}
    split = dataset("faceforensics", **both).split("test")
    assert abs(float(split[[5]].images.mean()) * 255 - (20 + 120 + 11)) < 1.5
    assert abs(float(split.originals([5]).mean()) * 255 - (20 + 120 + 5)) < 1.5
    # The middle 48 x 48 pixels become 16 x 16: the marked square has 16 / 3 a side.
    assert abs(float(split.manipulated([5]).sum()) - (16 / 3) ** 2) < 1
    close = dataset("faceforensics", crop="mask", **both).split("test").manipulated([5])
    assert abs(float(close.mean()) - (16 / 21) ** 2) < 0.03, "a square of 1.3 times the face"

    other = dataset("faceforensics", path=root, size=16, source="images")
    assert "images/002: does not exist" in refusal(lambda: other.split("test"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[["002", "005"], ["005", "002"]]', "entry 2: 005 and 002 are paired already"),
        ('[["002", "002"]]', "entry 1: 002 and 002 are paired already, or the same"),
        ('[["../002", "005"]]', "is not a list of pairs"),
        ('[[["002"], "005"]]', "is not a list of pairs"),
        ('{"002": "005"}', "is not a list of pairs"),
        ("[" * 10_000, "is nested too deeply"),
        ("<!DOCTYPE html>", "is not valid JSON"),
    ],
)
def test_faceforensics_pairs_that_are_none_are_named(root, dataset, refusal, content, said):
    (root / "splits" / "test.json").write_text(content)
    text = refusal(lambda: dataset("faceforensics", path=root))
    assert str(root / "splits" / "test.json") in text
    assert said in text


def test_faceforensics_frames_that_were_extracted_with_gaps_are_found(root, dataset):
    """Of each stretch of `stride` frames the first one that is there."""
    for i in (4, 5):
        (root / "original_sequences" / "youtube" / "c23" / "images" / "005" / f"{i:04d}.png").unlink()
    split = dataset("faceforensics", path=root, size=32, stride=4).split("test")
    assert [split[[i]].ids[0] for i in range(len(split))] == [
        *("ff-original-002-0000", "ff-original-005-0000"),
        *("ff-original-002-0004", "ff-original-005-0006"),
    ]

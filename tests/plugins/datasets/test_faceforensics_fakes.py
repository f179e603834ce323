"""FaceForensics++ for forensics: originals beside the fakes of several manipulations, compressed masks."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from magdr_core.isolation.containment import take_notices
from tests.plugins.datasets.fake_trees import HEIGHT, MIDDLE, WIDTH, clip, everything, masks, shown

PAIRS = {"train": [["000", "003"]], "val": [["001", "004"]], "test": [["002", "005"]]}
BOTH = [(a, b) for pairs in PAIRS.values() for x, y in pairs for a, b in ((x, y), (y, x))]
METHODS = ("Deepfakes", "FaceSwap")
BOX = (12, 8, 28, 20)


def seed_of(method, target):
    return 1000 * (1 + METHODS.index(method)) + 100 * int(target)


@pytest.fixture
def root(tmp_path):
    """Six frames; originals count from 0, fakes and masks from 1; FaceSwap's clips are shorter."""
    root = tmp_path / "ff"
    (root / "splits").mkdir(parents=True)
    for name, pairs in PAIRS.items():
        (root / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    for a, b in BOTH:
        clip(root / "original_sequences" / "youtube" / "c23" / "images" / a, 100 * int(a))
        for method in METHODS:
            numbers = range(1, 7) if method == "Deepfakes" else range(1, 5)
            made = root / "manipulated_sequences" / method
            clip(made / "c23" / "images" / f"{a}_{b}", seed_of(method, a), numbers)
            masks(made / "masks" / "images" / f"{a}_{b}", numbers, BOX, level=255 if b < "004" else 2)
    take_notices()
    return root


def built(dataset, root, **more):
    told = {"size": 16, "frames": 3, "crop": "centre", "manipulations": list(METHODS)} | more
    return dataset("faceforensics-fakes", path=root, **told)


def test_rows_are_frames_that_all_manipulations_have(root, holds):
    data = holds(
        "faceforensics-fakes", path=root, size=16, frames=3, crop="centre", manipulations=list(METHODS)
    )
    batches = everything(data)
    for name, official in zip(batches, PAIRS, strict=True):
        (a, b) = PAIRS[official][0]
        assert {one.split("-")[2] for one in batches[name].ids} == {f"{a}_{b}", f"{b}_{a}"}
    # Of the four frames that FaceSwap has: the first, the second of three steps, and the last.
    assert [int(one.rpartition("-")[2]) for one in batches["test"].ids] == [0, 1, 3, 0, 1, 3]
    assert not take_notices()


def test_fakes_counted_from_one_lie_beside_originals_counted_from_nought(root, dataset):
    data = built(dataset, root)
    batch = data.split("test")[list(range(6))]
    for method in METHODS:
        fakes = data.recorded(batch.ids, method)
        for one, picture, fake in zip(batch.ids, batch.images, fakes, strict=True):
            key, position = one.split("-")[2], int(one.rpartition("-")[2])
            target = key.partition("_")[0]
            assert torch.equal(picture, shown(100 * int(target) + position, 16, MIDDLE))
            assert torch.equal(fake, shown(seed_of(method, target) + position, 16, MIDDLE))


def test_masks_are_what_is_above_one_level_of_grey(root, dataset):
    data = built(dataset, root, size=32)
    batch = data.split("test")[[0, 3]]
    expected = torch.zeros(1, 32, 32)
    expected[:, BOX[1] : BOX[3], BOX[0] - MIDDLE[0] : BOX[2] - MIDDLE[0]] = 1
    found = data.recorded_masks(batch.ids, "FaceSwap")
    # Inside one mask has 2 levels and the other 255; outside both have the 1 that coding leaves of black.
    assert torch.equal(found, expected.expand(2, -1, -1, -1))


def test_a_frame_without_a_mask_has_an_empty_one(root, dataset):
    folder = root / "manipulated_sequences" / "FaceSwap" / "masks" / "images" / "002_005"
    (folder / "0001.png").unlink()
    (folder / "0002.png").rename(folder / "0000.png")  # now it counts from 0, and has no frame 1
    data = built(dataset, root)
    ids = tuple(f"faceforensics-fakes-002_005-{at:04d}" for at in (0, 1, 3))
    assert data.recorded_masks(ids, "FaceSwap").flatten(1).any(1).tolist() == [True, False, True]


def test_real_fake_and_mask_are_cut_by_one_square(root, dataset):
    data = built(dataset, root, crop="mask")
    one = ("faceforensics-fakes-002_005-0003",)
    # The box is 16 wide, enlarged by 1.3 to 21, around (20, 14); a half goes to the even side.
    left, upper = round((BOX[0] + BOX[2] - 21) / 2), round((BOX[1] + BOX[3] - 21) / 2)
    box = (left, upper, left + 21, upper + 21)
    assert torch.equal(data.reals(one)[0], shown(203, 16, box))
    for method in METHODS:
        assert torch.equal(data.recorded(one, method)[0], shown(seed_of(method, "002") + 3, 16, box))
    mask = data.recorded_masks(one, "Deepfakes")
    assert 0.3 < float(mask.mean()) < 0.6
    assert mask[0, 0, 8, 8] == 1


def test_faceshifter_has_no_masks(root, dataset, refusal):
    made = root / "manipulated_sequences"
    shutil.copytree(made / "Deepfakes" / "c23", made / "FaceShifter" / "c23")
    data = built(dataset, root, manipulations=["FaceShifter"])
    assert not data.recorded_masks(data.split("test")[[0]].ids, "FaceShifter").any()
    text = refusal(lambda: built(dataset, root, manipulations=["FaceShifter"], crop="mask"))
    assert 'crop = "mask" needs masks' in text


def test_masks_that_are_not_there_are_named_unless_they_are_not_wanted(root, dataset, refusal):
    shutil.rmtree(root / "manipulated_sequences" / "FaceSwap" / "masks")
    text = refusal(lambda: built(dataset, root))
    assert f"{root / 'manipulated_sequences' / 'FaceSwap' / 'masks'}: has no clip 000_003; looked for" in text
    data = built(dataset, root, masks=False)
    assert not data.recorded_masks(data.split("test")[[0]].ids, "FaceSwap").any()


def test_a_fake_of_another_size_is_not_cut_like_its_real(root, dataset, refusal):
    folder = root / "manipulated_sequences" / "FaceSwap" / "c23" / "images" / "002_005"
    shutil.rmtree(folder)
    clip(folder, 7, range(1, 5), HEIGHT // 2, WIDTH // 2)
    one = ("faceforensics-fakes-002_005-0000",)
    text = refusal(lambda: built(dataset, root, crop="mask").recorded(one, "FaceSwap"))
    assert f"{folder}: has frames of 24 x 16" in text
    assert "of 48 x 32: no square is cut of both" in text
    assert built(dataset, root).recorded(one, "FaceSwap").shape == (1, 3, 16, 16)


def test_c40_is_looked_for_in_its_own_folders(root, dataset, refusal):
    text = refusal(lambda: built(dataset, root, compression="c40"))
    assert f"{root / 'original_sequences' / 'youtube' / 'c40'}: has no clip 000; looked for 000.mp4" in text
    for folder in (root / "original_sequences" / "youtube", *(root / "manipulated_sequences").iterdir()):
        shutil.copytree(folder / "c23", folder / "c40")
    assert len(built(dataset, root, compression="c40").split("test")) == 6


def test_compressed_masks_of_a_video_are_read(root, dataset):
    pytest.importorskip("av")
    from magdr_core.api import write_video

    folder = root / "manipulated_sequences" / "Deepfakes" / "masks"
    shutil.rmtree(folder)
    (folder / "videos").mkdir(parents=True)
    frame = torch.zeros(3, HEIGHT, WIDTH)
    frame[:, BOX[1] : BOX[3], BOX[0] : BOX[2]] = 1
    for a, b in BOTH:
        write_video(folder / "videos" / f"{a}_{b}.mp4", [frame] * 40, fps=25, lossless=False)
    data = built(dataset, root, size=32)
    found = data.recorded_masks(("faceforensics-fakes-002_005-0001",), "Deepfakes")[0, 0]
    inside = found[BOX[1] : BOX[3], BOX[0] - MIDDLE[0] : BOX[2] - MIDDLE[0]]
    assert inside.all()
    far = found.clone()
    far[BOX[1] - 4 : BOX[3] + 4, BOX[0] - MIDDLE[0] - 4 : BOX[2] - MIDDLE[0] + 4] = 0
    assert not far.any(), "but for the blur of the coding at its border"

"""What DeepfakeBench prepares: a JSON tree with another machine's paths, pairs by name, masks, landmarks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from magdr_core.isolation.containment import take_notices
from tests.plugins.datasets.fake_trees import clip, everything, masks, shown

BOX = (8, 4, 24, 20)
NUMBERS = (0, 9, 18, 27)


def written(folder, style):
    """Paths of a folder's frames as somebody's machine wrote them, not in order."""
    found = sorted((str(file) for file in folder.iterdir()), reverse=True)
    if style == "absolute":
        return found
    short = [one[one.index("/data/") + 6 :] for one in found]
    if style == "relative":
        return [f"./datasets/{one}" for one in short]
    return ["D:\\deep\\datasets\\" + one.replace("/", "\\") for one in short]


class Tree:
    """A data set below `tmp/data`, and its list beside it."""

    def __init__(self, tmp_path, name, style="backslash"):
        self.root, self.name, self.style = tmp_path / "data", name, style
        self.path = tmp_path / "json" / f"{name}.json"
        self.labels = {}

    def add(self, label, splits, video, folder, seed, numbers=NUMBERS, *, mask=None, compression="c23"):
        """A video with frames in `FOLDER/frames/VIDEO`; `seed + i` has the pixels of frame `numbers[i]`."""
        place = self.root / folder
        clip(place / "frames" / video, seed, numbers)
        told = {"label": label, "frames": written(place / "frames" / video, self.style)}
        if mask is not None:
            told["masks"] = []
            if mask:
                masks(place / "masks" / video, numbers, BOX, noise=0)
                told["masks"] = written(place / "masks" / video, self.style)
        for split in splits:
            videos = self.labels.setdefault(label, {"train": {}, "val": {}, "test": {}})[split]
            if compression:
                videos = videos.setdefault(compression, {})
            videos[video] = told

    def write(self):
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps({self.name: self.labels}))
        take_notices()
        return {"path": self.path, "root": self.root}


def faceforensics(tmp_path, style="backslash"):
    """Two manipulations; a video without masks; a fake that one manipulation lacks."""
    tree = Tree(tmp_path, "FaceForensics++", style)
    for k, (split, a, b) in enumerate((("train", 0, 3), ("val", 1, 4), ("test", 2, 5))):
        for j, (x, y) in enumerate(((a, b), (b, a))):
            tree.add("FF-real", [split], f"{x:03d}", "original_sequences/youtube/c23", 100 * x)
            for m, (label, method) in enumerate((("FF-DF", "Deepfakes"), ("FF-NT", "NeuralTextures"))):
                if label == "FF-NT" and (x, y) == (3, 0):
                    continue
                place = f"manipulated_sequences/{method}/c23"
                seed = 2000 + 1000 * m + 100 * k + 10 * j
                tree.add(label, [split], f"{x:03d}_{y:03d}", place, seed, mask=(x, y) != (5, 2))
    return tree


@pytest.mark.parametrize("style", ["backslash", "relative", "absolute"])
def test_paths_of_any_machine_are_found_below_the_root(tmp_path, holds, style):
    data = holds("deepfakebench", **faceforensics(tmp_path, style).write(), size=16, frames=2)
    said = take_notices()
    assert len(said) == 1
    assert "deepfakebench: 1 of 6 fakes are left out for missing files" in said[0]
    assert "003_000 has no fake FF-NT (manipulations)" in said[0]
    found = {name: {one.split("-")[1] for one in batch.ids} for name, batch in everything(data).items()}
    assert found == {
        "train": {"000_003"},
        "calibration": {"001_004", "004_001"},
        "test": {"002_005", "005_002"},
    }
    ids = ("deepfakebench-002_005-0027", "deepfakebench-002_005-0000")
    assert torch.equal(data.reals(ids)[0], shown(203, 16))
    assert torch.equal(data.recorded(ids, "FF-DF")[0], shown(2203, 16))
    assert torch.equal(data.recorded(ids, "FF-NT")[1], shown(3200, 16))


def test_absolute_paths_need_no_root(tmp_path, dataset):
    told = faceforensics(tmp_path, "absolute").write()
    assert len(dataset("deepfakebench", path=told["path"], frames=2).split("test")) == 4


def test_masks_are_those_of_the_list_and_empty_where_it_has_none(tmp_path, dataset):
    data = dataset("deepfakebench", **faceforensics(tmp_path).write(), size=48)
    found = data.recorded_masks(("deepfakebench-002_005-0009", "deepfakebench-005_002-0009"), "FF-DF")
    assert not found[1].any()
    # The frame, 48 x 32, is stretched to a square: rows become half as many again.
    expected = torch.zeros(48, 48)
    expected[6:30, 8:24] = 1
    assert torch.equal(found[0, 0], expected)


def test_crop_by_landmarks_is_the_reals_for_both(tmp_path, dataset, refusal):
    told = faceforensics(tmp_path).write()
    place = told["root"] / "original_sequences" / "youtube" / "c23" / "landmarks" / "002"
    text = refusal(
        lambda: dataset("deepfakebench", **told, size=16, crop="landmarks").reals(
            ["deepfakebench-002_005-0000"]
        )
    )
    assert f"{place / '0000.npy'}: does not exist, so there are no landmarks" in text
    place.mkdir(parents=True)
    np.save(place / "0000.npy", np.array([[10, 8], [20, 8]]))
    np.save(place / "0009.npy", np.array([[12, 6], [14, 16]]))
    data = dataset("deepfakebench", **told, size=16, crop="landmarks")
    # Both frames: x from 10 to 20, y from 6 to 16; enlarged by 1.3 to 13, around (15, 11).
    box = (round(8.5), round(4.5), round(8.5) + 13, round(4.5) + 13)
    one = ("deepfakebench-002_005-0009",)
    assert torch.equal(data.reals(one)[0], shown(201, 16, box))
    assert torch.equal(data.recorded(one, "FF-NT")[0], shown(3201, 16, box))
    np.save(place / "0000.npy", np.array([1.0, 2.0]))
    fresh = dataset("deepfakebench", **told, size=16, crop="landmarks")
    assert "expected finite landmarks [points, 2]" in refusal(lambda: fresh.reals(one))


def test_celeb_df_has_no_calibration_list_of_its_own_and_gets_one_by_people(tmp_path, dataset):
    """There `val` is a copy of `test`, and `train` holds all videos, those of `test` among them."""
    tree = Tree(tmp_path, "Celeb-DF-v2")
    for i in range(10):
        splits = ["train", "val", "test"] if i < 2 else ["train"]
        first, second = f"id{2 * i}", f"id{2 * i + 1}"
        tree.add("CelebDFv2_real", splits, f"{first}_0000", "Celeb-real", 100 * i, compression="")
        name = f"{first}_{second}_0000"
        tree.add("CelebDFv2_fake", splits, name, "Celeb-synthesis", 2000 + 100 * i, compression="")
    data = dataset("deepfakebench", **tree.write(), size=16, frames=1)
    found = {name: {one.split("-")[1] for one in batch.ids} for name, batch in everything(data).items()}
    assert found["test"] == {"id0_id1_0000", "id2_id3_0000"}
    assert found["calibration"]
    assert found["train"]
    assert not found["calibration"] & (found["test"] | found["train"])
    assert not found["train"] & found["test"]


def test_frames_that_were_taken_elsewhere_are_paired_by_the_nearest(tmp_path, dataset):
    tree = Tree(tmp_path, "UADFV")
    tree.add("UADFV_Real", ["test"], "0001", "real", 100, (0, 10, 20, 40), compression="")
    tree.add("UADFV_Fake", ["test"], "0001_fake", "fake", 200, (0, 12, 20, 48), compression="")
    data = dataset("deepfakebench", **tree.write(), size=16, frames=0)
    batch = data.split("test")[list(range(len(data.split("test"))))]
    assert [int(one.rpartition("-")[2]) for one in batch.ids] == [0, 10, 20]
    fakes = data.recorded(batch.ids, "UADFV_Fake")
    assert torch.equal(fakes[1], shown(201, 16)), "frame 12"
    assert torch.equal(fakes[2], shown(202, 16))


@pytest.mark.parametrize(
    ("fake", "real", "people"),
    [
        ("000_003", "000", ("000", "003")),
        ("000_M101", "000", ("000", "M101")),
        ("id0_id16_0003", "id0_0003", ("id0", "id16")),
        ("01_02__walking__YVGY8LOK", "01__walking", ("01", "02")),
        ("1255229_1003254_A_001", "1003254_A_001", ("1003254", "1255229")),
        ("0049_fake", "0049", ("0049",)),
    ],
)
def test_a_fake_tells_by_its_name_whose_it_is(fake, real, people):
    from magdr_plugins.datasets._deepfakebench import named_after

    assert (real, people) in list(named_after(fake))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": {}, "b": {}}, "is no list of DeepfakeBench"),
        ({"a": {"FF-DF": {}}}, "needs labels of real videos and of fakes, has FF-DF"),
        ({"a": {"FF-real": {"dev": {}}}}, "a > FF-real > dev: expected one of train, val, test"),
        ({"a": {"FF-real": {"test": {"000": {"frames": "x.png"}}}}}, "000: expected a list of frames"),
        ({"a": {"FF-real": {"test": {"c40": {}}}}}, "has no c23, only c40"),
        ({"a": {"FF-real": {"test": ["000"]}}}, "expected a table, got a list"),
        (
            {
                "a": {
                    "FF-real": {"test": {"000": {"frames": ["/x/000/000.png"]}}},
                    "FF-DF": {"test": {"000_003": {"frames": ["/x/000_003/000.png"]}}},
                }
            },
            "/x/000/000.png: is not found below the folder of the data (root)",
        ),
        (
            {
                "a": {
                    "FF-real": {"test": {"000": {"frames": ["../000/000.png"]}}},
                    "FF-DF": {"test": {"000_003": {"frames": ["x/000.png"]}}},
                }
            },
            "'../000/000.png' leads out of the data's folder",
        ),
        (
            {
                "a": {
                    "DFDC_Real": {"test": {"abc": {"frames": ["abc/0.png"]}}},
                    "DFDC_Fake": {"test": {"xyz": {"frames": ["xyz/0.png"]}}},
                }
            },
            "xyz does not tell which real video of the list it was made of",
        ),
    ],
)
def test_lists_are_checked(tmp_path, dataset, refusal, content, words):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(content))
    text = refusal(lambda: dataset("deepfakebench", path=path))
    assert str(path) in text
    assert words in text


def test_labels_and_files_are_suggested(tmp_path, dataset, refusal):
    told = faceforensics(tmp_path).write()
    text = refusal(lambda: dataset("deepfakebench", **told, manipulations=["FF-DT"]))
    assert f"{told['path']}: has no fakes 'FF-DT'" in text
    assert "there are FF-DF, FF-NT" in text
    assert "is a folder" in refusal(lambda: dataset("deepfakebench", path=told["root"]))

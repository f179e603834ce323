"""DeeperForensics-1.0: fakes of FaceForensics++ targets, in folders of several variants."""

from __future__ import annotations

import pytest
import torch

from magdr_core.isolation.containment import take_notices
from tests.plugins.datasets.fake_trees import MIDDLE, clip, everything, shown

LISTS = {
    "train": ["000_M101.mp4", "001_W012.mp4", "005_M001.mp4"],
    "val": ["002_M004.mp4"],
    "test": ["003_M001.mp4"],
}


@pytest.fixture
def roots(tmp_path):
    root, originals = tmp_path / "DeeperForensics-1.0", tmp_path / "ff"
    (root / "lists" / "splits").mkdir(parents=True)
    for split, names in LISTS.items():
        (root / "lists" / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            number = int(name[:3])
            for k, variant in enumerate(("end_to_end", "end_to_end_level_5")):
                clip(
                    root / "manipulated_videos" / variant / "frames" / name[:-4], 1000 + 500 * k + 10 * number
                )
    for number in range(6):
        clip(originals / "original_sequences" / "youtube" / "c23" / "images" / f"{number:03d}", 10 * number)
    take_notices()
    return {"path": root, "originals": originals}


def test_reals_are_the_targets_and_splits_those_of_the_lists(roots, holds):
    data = holds("deeperforensics", **roots, size=16, frames=2, crop="centre")
    found = {name: {one.split("-")[1] for one in batch.ids} for name, batch in everything(data).items()}
    # The actor of 005_M001 is one of the test split.
    assert found == {"train": {"000_M101", "001_W012"}, "calibration": {"002_M004"}, "test": {"003_M001"}}
    assert "1 of 5 fakes are left out, since their people" in take_notices()[0]
    batch = data.split("test")[[1]]
    assert torch.equal(batch.images[0], shown(35, 16, MIDDLE))
    assert torch.equal(data.recorded(batch.ids, "end_to_end")[0], shown(1035, 16, MIDDLE))


def test_a_variant_has_fakes_of_its_own(roots, dataset, refusal):
    data = dataset("deeperforensics", **roots, size=16, crop="centre", variant="end_to_end_level_5")
    ids = data.split("test")[[0]].ids
    assert torch.equal(data.recorded(ids, "end_to_end_level_5")[0], shown(1530, 16, MIDDLE))
    text = refusal(lambda: dataset("deeperforensics", **roots, variant="reenact_postprocess"))
    assert f"{roots['path'] / 'manipulated_videos' / 'reenact_postprocess'}: does not exist" in text
    assert "variant" in refusal(lambda: dataset("deeperforensics", **roots, variant="level_5"))


def test_originals_have_to_be_named(roots, dataset, refusal):
    text = refusal(lambda: dataset("deeperforensics", path=roots["path"]))
    assert 'its real videos are those of FaceForensics++: originals = "FOLDER"' in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("000_M101.mp4", "val.txt:1: 000_M101 is listed already, in train.txt"),
        ("M101.mp4", "val.txt:1: expected a fake as 000_M101.mp4, got 'M101.mp4'"),
    ],
)
def test_lists_are_checked(roots, dataset, refusal, line, words):
    (roots["path"] / "lists" / "splits" / "val.txt").write_text(f"{line}\n")
    assert words in refusal(lambda: dataset("deeperforensics", **roots))
    (roots["path"] / "lists" / "splits" / "val.txt").unlink()
    assert "no list of a split; looked for lists/splits/val.txt" in refusal(
        lambda: dataset("deeperforensics", **roots)
    )

"""DFDC: parts with metadata whose labels are words, and the preview set with its methods."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from magdr_core.isolation.containment import take_notices
from tests.plugins.datasets.fake_trees import MIDDLE, clip, everything, shown


@pytest.fixture
def parts(tmp_path):
    """Four parts, each with a real video, a fake of it, and a fake of an original that is not there."""
    root = tmp_path / "dfdc"
    for k in range(4):
        folder = root / f"dfdc_train_part_{k}"
        told = {
            f"real{k}.mp4": {"label": "REAL", "split": "train", "original": None},
            f"fake{k}.mp4": {"label": "FAKE", "split": "train", "original": f"real{k}.mp4"},
            f"lost{k}.mp4": {"label": "FAKE", "split": "train", "original": f"gone{k}.mp4"},
        }
        folder.mkdir(parents=True)
        (folder / "metadata.json").write_text(json.dumps(told))
        for j, name in enumerate(("real", "fake", "lost")):
            clip(folder / "frames" / f"{name}{k}", 1000 * k + 100 * j)
    take_notices()
    return root


def names(batch):
    return {one.split("-")[1] for one in batch.ids}


def test_a_fake_lies_beside_its_original_and_lost_originals_are_counted(parts, holds):
    data = holds("dfdc", path=parts, size=16, frames=2, crop="centre")
    said = [line for line in take_notices() if "missing" in line]
    assert len(said) == 1
    assert "dfdc: 4 of 8 fakes are left out for missing files, first " in said[0]
    assert "has no clip gone0; looked for gone0.mp4" in said[0]
    batches = everything(data)
    assert sorted(len(batch) for batch in batches.values()) == [2, 2, 4], "whole parts in each split"
    for batch in batches.values():
        fakes = data.recorded(batch.ids, "dfdc")
        for one, picture, fake in zip(batch.ids, batch.images, fakes, strict=True):
            k, position = int(one.split("-")[1][4:]), int(one.rpartition("-")[2])
            assert torch.equal(picture, shown(1000 * k + position, 16, MIDDLE))
            assert torch.equal(fake, shown(1000 * k + 100 + position, 16, MIDDLE))


def test_a_part_is_in_one_split_however_many_originals_it_has(parts, dataset):
    for k in range(4):
        folder = parts / f"dfdc_train_part_{k}"
        told = json.loads((folder / "metadata.json").read_text())
        for j in range(5):
            told[f"r{k}{j}.mp4"] = {"label": "REAL"}
            told[f"f{k}{j}.mp4"] = {"label": "FAKE", "original": f"r{k}{j}.mp4"}
            for name in (f"r{k}{j}", f"f{k}{j}"):
                clip(folder / "frames" / name, 50 * k + j, range(2))
        (folder / "metadata.json").write_text(json.dumps(told))
    data = dataset("dfdc", path=parts, size=16, frames=1, crop="centre")
    found = {name: {one.split("-")[1] for one in batch.ids} for name, batch in everything(data).items()}
    homes = {k: {name for name, some in found.items() if f"fake{k}" in some} for k in range(4)}
    for k in range(4):
        assert len(homes[k]) == 1
        assert {f"f{k}{j}" for j in range(5)} < found[homes[k].copy().pop()]


def test_few_parts_are_shared_out_by_originals(parts, dataset, refusal):
    for k in (2, 3):
        shutil.rmtree(parts / f"dfdc_train_part_{k}")
    text = refusal(lambda: dataset("dfdc", path=parts))
    assert f'{parts}: has 2 of at least 3 parts to share out; split = "original"' in text
    data = dataset("dfdc", path=parts, split="original", crop="centre")
    assert sum(map(len, everything(data).values())) == 12
    one = dataset("dfdc", path=parts / "dfdc_train_part_0", split="original", crop="centre")
    assert set().union(*(names(batch) for batch in everything(one).values())) == {"fake0"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"x.mp4": {"label": 1}}, "x.mp4 has the label 1, expected REAL or FAKE"),
        ([1], "is no list of videos such as"),
        (
            {
                "x.mp4": {"label": "FAKE", "original": "y.mp4"},
                "y.mp4": {"label": "FAKE", "original": "z.mp4"},
            },
            "x.mp4 names y.mp4 as its original, which is no REAL video",
        ),
        ({"x.mp4": {"label": "FAKE"}}, "x.mp4 names no original"),
    ],
)
def test_metadata_are_checked(parts, dataset, refusal, told, words):
    path = parts / "dfdc_train_part_0" / "metadata.json"
    path.write_text(json.dumps(told))
    text = refusal(lambda: dataset("dfdc", path=path.parent, split="original"))
    assert f"{path}: {words}" in text


def test_a_folder_without_parts_is_refused(tmp_path, dataset, refusal):
    text = refusal(lambda: dataset("dfdc", path=tmp_path))
    assert f"{tmp_path}: no part with a metadata.json" in text


FAKES = {
    "method_A/11/11_A/77_11_A_001.mp4": ("test", 3000),
    "method_B/12/12_A/11_12_A_001.mp4": ("train", 3100),  # with the face of a test person
    "method_A/13/13_A/14_13_A_001.mp4": ("train", 3200),
    "method_B/15/15_B/16_15_B_002.mp4": ("train", 3300),
    "method_A/17/17_A/18_17_A_001.mp4": ("train", 3400),
    "method_A/19/19_A/20_19_A_009.mp4": ("train", 3500),  # of a real video that is not listed
}
REALS = {"11_A_001": 0, "12_A_001": 100, "13_A_001": 200, "15_B_002": 300, "17_A_001": 400}


@pytest.fixture
def preview(tmp_path):
    root = tmp_path / "preview"
    told = {}
    for name, seed in REALS.items():
        path = f"original_videos/{name.split('_')[0]}/{name}.mp4"
        told[path] = {"label": "real", "set": "train", "augmentations": []}
        clip(root / path.removesuffix(".mp4"), seed)
    for path, (part, seed) in FAKES.items():
        told[path] = {"label": "fake", "set": part, "augmentations": []}
        clip(root / path.removesuffix(".mp4"), seed)
    (root / "dataset.json").write_text(json.dumps(told))
    take_notices()
    return root


def test_preview_fakes_name_both_people_and_no_test_person_is_met_before(preview, holds):
    data = holds("dfdc-preview", path=preview, size=16, frames=2, crop="centre")
    said = take_notices()
    assert any("dfdc-preview: 1 of 6 fakes are left out for missing files" in line for line in said)
    assert any("1 of 5 fakes are left out, since their people" in line for line in said)
    found = {name: {one.rpartition("-")[0] for one in batch.ids} for name, batch in everything(data).items()}
    assert found["test"] == {"dfdc-preview-method_A-77_11_A_001"}
    assert len(found["train"]) == 2
    assert len(found["calibration"]) == 1
    batch = data.split("test")[[0, 1]]
    assert torch.equal(batch.images[1], shown(REALS["11_A_001"] + 5, 16, MIDDLE))
    assert torch.equal(data.recorded(batch.ids, "dfdc-preview")[1], shown(3005, 16, MIDDLE))


def test_preview_methods_are_apart_if_asked_for(preview, dataset, refusal):
    data = dataset("dfdc-preview", path=preview, size=16, method="method_B", split="people", crop="centre")
    ids = [one for batch in everything(data).values() for one in batch.ids]
    assert {one.split("-")[2] for one in ids} == {"method_B"}
    assert data.recorded(ids[:1], "method_B").shape == (1, 3, 16, 16)
    assert "it has method_B" in refusal(lambda: data.recorded(ids[:1], "method_A"))


@pytest.mark.parametrize(
    ("path", "told", "words"),
    [
        (
            "method_A/1/x.mp4",
            {"label": "FAKE", "set": "train"},
            "has the label 'FAKE', expected real or fake",
        ),
        ("method_A/1/x.mp4", {"label": "fake", "set": "val"}, "is in the set 'val', expected train or test"),
        (
            "method_A/../../../77_11_A_001.mp4",
            {"label": "fake", "set": "train"},
            "is no video inside the dataset's folder",
        ),
    ],
)
def test_preview_table_is_checked(preview, dataset, refusal, path, told, words):
    file = preview / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {path: told}))
    text = refusal(lambda: dataset("dfdc-preview", path=preview))
    assert str(file) in text
    assert words in text

"""Any pictures below a folder."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

NAMES = ["B/b.PNG", "a 1.jpg", "b/10.webp", "b/9.png", "ä.png"]  # sorted by their characters


@pytest.fixture
def root(tmp_path, paint):
    root = tmp_path / "pictures"
    for i, name in enumerate(NAMES):
        paint(root / name, seed=i)
    for name in (".hidden.png", "b/._9.png", ".git/x.png", "__MACOSX/9.png"):
        paint(root / name)
    (root / "notes.txt").write_text("no picture")
    return root


def test_folder_lists_pictures_below_in_a_fixed_order(root, holds):
    data = holds("folder", path=root, size=32, split="test")
    batch = data.split("test")[list(range(5))]
    assert list(batch.ids) == NAMES
    assert batch.attributes == {}
    assert batch.action_units is None
    assert batch.identities is None
    assert (len(data.split("train")), len(data.split("calibration"))) == (0, 0)


def test_folder_hashed_splits_are_disjoint_and_do_not_move(tmp_path, paint, holds, dataset):
    root = tmp_path / "many"
    for i in range(40):
        paint(root / f"{i}.png", 16, 16, seed=i)
    data = holds("folder", path=root, size=16)
    sizes = {n: len(data.split(n)) for n in ("train", "calibration", "test")}
    assert sum(sizes.values()) == 40
    assert min(sizes.values()) > 2
    before = {i: n for n in sizes for i in data.split(n)[list(range(sizes[n]))].ids}
    paint(root / "0 new.png", 16, 16)
    after = dataset("folder", path=root, size=16)
    now = {i: n for n in sizes for i in after.split(n)[list(range(len(after.split(n))))].ids}
    assert {i: now[i] for i in before} == before


def test_folder_name_that_is_no_unicode_has_an_id_that_can_be_written(root, dataset):
    path = os.fsencode(root) + b"/\xff.png"
    try:
        os.rename(root / NAMES[0], path)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    data = dataset("folder", path=root, size=16, split="test")
    assert data.split("test")[[4]].ids == ("\\udcff.png",)
    assert data.fingerprint().encode("utf-8")
    assert len(dataset("folder", path=root, size=16).fingerprint()) > 0


def test_folder_keeps_the_middle_square_or_everything(root, dataset):
    picture = Image.open(root / NAMES[0])  # 32 wide, 40 high
    for fit, whole in (("crop", picture.crop((0, 4, 32, 36))), ("stretch", picture)):
        expected = np.asarray(whole.resize((16, 16), Image.Resampling.BILINEAR))
        image = dataset("folder", path=root, size=16, fit=fit, split="test").split("test")[[0]].images[0]
        assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_folder_small_pictures_are_enlarged(root, dataset):
    image = dataset("folder", path=root, size=64, split="test").split("test")[[0]].images
    assert image.shape == (1, 3, 64, 64)


def test_folder_attributes_come_from_a_csv(root, dataset):
    lines = ["file,Smiling,Young", *(f"{n},{i % 2},{-1 if i < 2 else 1}" for i, n in enumerate(NAMES))]
    (root / "attributes.csv").write_text("\n".join(lines), encoding="utf-8")
    batch = dataset("folder", path=root, size=16, split="train", attributes="attributes.csv").split("train")[
        [1, 4]
    ]
    assert {k: v.tolist() for k, v in batch.attributes.items()} == {
        "Smiling": [1.0, 0.0],
        "Young": [0.0, 1.0],
    }


def test_folder_attributes_must_fit_the_pictures(root, dataset, refusal):
    table = root / "attributes.csv"
    table.write_text("\n".join(["file,Young", *(f"{n},1" for n in NAMES[1:])]), encoding="utf-8")
    build = lambda: dataset("folder", path=root, attributes="attributes.csv").split("test")  # noqa: E731
    assert f"{table}: has no line for {NAMES[0]}" in refusal(build)
    table.write_text("\n".join(["file,Young", "gone.jpg,1", *(f"{n},1" for n in NAMES)]), encoding="utf-8")
    text = refusal(build)
    assert f"{root / 'gone.jpg'}: does not exist, but attributes.csv lists it" in text
    assert "does not exist" in refusal(lambda: dataset("folder", path=root, attributes="other.csv"))


def test_folder_action_units_choose_the_pictures(root, dataset, refusal):
    lines = [f"{name} " + " ".join(["2.5"] * 17) for name in ("b/9.png", "elsewhere.jpg")]
    (root / "aus.txt").write_text("\n".join(lines))
    batch = dataset("folder", path=root, size=16, split="test", action_units="aus.txt").split("test")[[0]]
    assert batch.ids == ("b/9.png",)
    assert torch.equal(batch.action_units, torch.full((1, 17), 0.5))
    (root / "aus.txt").write_text(lines[1])
    text = refusal(lambda: dataset("folder", path=root, action_units="aus.txt").split("test"))
    assert "is about none of the pictures below" in text


def test_folder_fingerprint_follows_names_and_content_only(root, dataset, tmp_path, paint):
    first = dataset("folder", path=root).fingerprint()
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)  # other times of change
    (copy / "notes.txt").unlink()
    assert dataset("folder", path=copy).fingerprint() == first
    assert dataset("folder", path=copy, split="test").fingerprint() != first
    pixels = np.asarray(Image.open(copy / NAMES[3])).copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(copy / NAMES[3])
    second = dataset("folder", path=copy).fingerprint()
    assert second != first
    (copy / NAMES[3]).rename(copy / "b" / "8.png")
    assert dataset("folder", path=copy).fingerprint() not in (first, second)


def test_folder_bad_pictures_are_named_when_they_are_read(root, dataset, refusal):
    (root / "a 1.jpg").write_bytes((root / "a 1.jpg").read_bytes()[:500])
    (root / "b" / "9.png").write_text("<html>")
    split = dataset("folder", path=root, size=16, split="test").split("test")
    assert len(split[[0, 2, 4]]) == 3
    assert f"{root / 'a 1.jpg'}: is damaged or truncated" in refusal(lambda: split[[1]])
    assert f"{root / 'b/9.png'}: is not a picture" in refusal(lambda: split[[3]])


def test_folder_that_is_none_or_empty_is_refused(root, dataset, refusal, tmp_path):
    assert "is a file, not a folder" in refusal(lambda: dataset("folder", path=root / "notes.txt"))
    assert "does not exist" in refusal(lambda: dataset("folder", path=tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    assert "holds no picture" in refusal(lambda: dataset("folder", path=tmp_path / "empty").split("test"))
    assert "folder has no parameter 'pat'" in refusal(lambda: dataset("folder", pat="x"))

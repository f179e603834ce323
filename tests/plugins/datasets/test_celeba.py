"""CelebA in the layouts in which it goes around."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.edits import edited

NAMES = ("Bald", "Smiling", "Young")
PART = (0, 0, 1, 2, 0, 1, 2, 2)


def attribute_rows(count):
    """Row i: -1/1 by the bits of i."""
    return [[1 if i >> k & 1 else -1 for k in range(3)] for i in range(1, count + 1)]


def official(root: Path, count: int = 8, bom: str = "") -> None:
    lines = [str(count), " ".join(NAMES) + " "]
    lines += [
        f"{i:06d}.jpg " + " ".join(f"{v:2d}" for v in row) for i, row in enumerate(attribute_rows(count), 1)
    ]
    (root / "list_attr_celeba.txt").write_text(bom + "\n".join(lines) + "\n", encoding="utf-8")
    partition = [f"{i:06d}.jpg {p}" for i, p in enumerate(PART[:count], 1)]
    (root / "list_eval_partition.txt").write_text("\n".join(partition) + "\n", encoding="utf-8")


@pytest.fixture
def root(tmp_path, paint):
    root = tmp_path / "celeba"
    for i in range(1, 9):
        paint(root / "img_align_celeba" / f"{i:06d}.jpg", 218, 178, seed=i)
    official(root, bom="\ufeff")
    return root


def test_celeba_splits_are_the_official_ones_and_validation_is_calibration(root, holds):
    data = holds("celeba", path=root, size=32)
    found = {
        name: data.split(name)[list(range(len(data.split(name))))].ids
        for name in ("train", "calibration", "test")
    }
    assert found == {
        "train": ("celeba-000001", "celeba-000002", "celeba-000005"),
        "calibration": ("celeba-000003", "celeba-000006"),
        "test": ("celeba-000004", "celeba-000007", "celeba-000008"),
    }


def test_celeba_attributes_are_zero_or_one_by_name(root, dataset):
    batch = dataset("celeba", path=root, size=32).split("test")[[0, 1]]  # pictures 4 and 7: bits 001 and 111
    assert {k: v.tolist() for k, v in batch.attributes.items()} == {
        "Bald": [0.0, 1.0],
        "Smiling": [0.0, 1.0],
        "Young": [1.0, 1.0],
    }
    assert batch.attributes["Bald"].dtype == torch.float32
    assert batch.identities is None


def test_celeba_crop_keeps_the_middle(root, dataset):
    pixels = np.asarray(Image.open(root / "img_align_celeba" / "000004.jpg"))
    image = dataset("celeba", path=root, crop=176, size=176).split("test")[[0]].images[0]
    # (178 - 176) / 2 = 1 column and (218 - 176) / 2 = 21 rows are cut off on each side.
    expected = torch.from_numpy(pixels[21:197, 1:177].copy()).permute(2, 0, 1) / 255
    assert torch.equal(image, expected)


def test_celeba_default_crop_and_resize_are_those_of_pil(root, dataset):
    picture = Image.open(root / "img_align_celeba" / "000004.jpg")
    expected = np.asarray(picture.crop((0, 20, 178, 198)).resize((128, 128), Image.Resampling.BILINEAR))
    image = dataset("celeba", path=root).split("test")[[0]].images[0]
    assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_celeba_resize_averages_when_it_shrinks(root, dataset):
    checker = np.indices((218, 178)).sum(0) % 2 * 255
    Image.fromarray(np.stack([checker] * 3, -1).astype(np.uint8)).save(
        root / "img_align_celeba" / "000004.jpg", format="PNG"
    )
    image = dataset("celeba", path=root, crop=176, size=44).split("test")[[0]].images[0]
    assert (image - 0.5).abs().max() < 0.02  # plain bilinear sampling would give 0 or 1


def test_celeba_kaggle_layout_gives_the_same(root, dataset, tmp_path, holds):
    other = tmp_path / "kaggle"
    (other / "img_align_celeba").mkdir(parents=True)
    (root / "img_align_celeba").rename(other / "img_align_celeba" / "img_align_celeba")
    rows = [f"{i:06d}.jpg,{','.join(map(str, r))}" for i, r in enumerate(attribute_rows(8), 1)]
    header = "image_id," + ",".join(NAMES)
    (other / "list_attr_celeba.csv").write_text("\r\n".join([header, *rows]) + "\r\n", encoding="utf-8")
    parts = [f"{i:06d}.jpg,{p}" for i, p in enumerate(PART, 1)]
    (other / "list_eval_partition.csv").write_text(
        "\n".join(["image_id,partition", *parts]), encoding="utf-8"
    )
    batch = holds("celeba", path=other, size=32).split("test")[[0, 1]]
    assert batch.ids == ("celeba-000004", "celeba-000007")
    assert batch.attributes["Young"].tolist() == [1.0, 1.0]
    assert batch.attributes["Smiling"].tolist() == [0.0, 1.0]


def test_celeba_official_archive_layout_is_found(root, dataset, tmp_path):
    other = tmp_path / "archive"
    (other / "Img").mkdir(parents=True)
    (other / "Anno").mkdir()
    (other / "Eval").mkdir()
    (root / "img_align_celeba").rename(other / "Img" / "img_align_celeba")
    (root / "list_attr_celeba.txt").rename(other / "Anno" / "list_attr_celeba.txt")
    (root / "list_eval_partition.txt").rename(other / "Eval" / "list_eval_partition.txt")
    lines = [f"{i:06d}.jpg {i // 4 + 100}" for i in range(1, 9)]
    (other / "Anno" / "identity_CelebA.txt").write_text("\n".join(lines), encoding="utf-8")
    batch = dataset("celeba", path=other, size=32).split("test")[[0, 1, 2]]  # pictures 4, 7, 8
    assert batch.identities.tolist() == [101, 101, 102]
    assert batch.identities.dtype == torch.int64


def test_celeba_stargan_split_shuffles_lines_as_the_public_loader(tmp_path, dataset):
    root, count = tmp_path / "celeba", 2500
    (root / "images").mkdir(parents=True)
    official(root, count)
    lines = (root / "list_attr_celeba.txt").read_text(encoding="utf-8").splitlines()[2:]
    before = random.getstate()
    random.seed(1234)
    random.shuffle(lines)
    random.setstate(before)
    data = dataset("celeba", path=root, split="stargan")
    names = {
        n: [data.ids([r])[0] for r in data.split(n).rows(range(len(data.split(n))))]
        for n in ("train", "calibration", "test")
    }
    stems = [f"celeba-{line.split()[0][:6]}" for line in lines]
    assert names["test"] == stems[:1999]
    assert names["train"] == stems[1999:2250]
    assert names["calibration"] == stems[2250:]


def test_celeba_listed_picture_that_is_missing_is_named(root, dataset, refusal):
    (root / "img_align_celeba" / "000007.jpg").unlink()
    split = dataset("celeba", path=root, size=32).split("test")
    assert len(split[[0]]) == 1, "only pictures that are asked for are read"
    text = refusal(lambda: split[[0, 1]])
    assert str(root / "img_align_celeba" / "000007.jpg") in text
    assert "list_attr_celeba.txt lists it" in text


def test_celeba_crop_that_does_not_fit_is_refused(root, dataset, refusal):
    split = dataset("celeba", path=root, size=32, crop=179).split("test")
    assert "000004.jpg: 178 x 218 pixels, crop = 179 does not fit" in refusal(lambda: split[[0]])


def test_celeba_truncated_picture_is_named(root, dataset, refusal):
    path = root / "img_align_celeba" / "000007.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    text = refusal(lambda: dataset("celeba", path=root, size=32).split("test")[[1]])
    assert str(path) in text
    assert "damaged or truncated" in text


def test_celeba_fingerprint_follows_tables_pictures_and_settings(root, dataset, paint):
    first = dataset("celeba", path=root).fingerprint()
    assert dataset("celeba", path=root, size=64).fingerprint() != first
    assert dataset("celeba", path=root, crop=170).fingerprint() != first
    assert dataset("celeba", path=root, split="stargan").fingerprint() != first
    paint(root / "img_align_celeba" / "000007.jpg", 100, 100)
    second = dataset("celeba", path=root).fingerprint()
    assert second != first
    text = (root / "list_attr_celeba.txt").read_text(encoding="utf-8")
    (root / "list_attr_celeba.txt").write_text(edited(text, (" 1", "-1"), first=True), encoding="utf-8")
    assert dataset("celeba", path=root).fingerprint() not in (first, second)


def test_celeba_fingerprint_does_not_depend_on_the_place(root, dataset, tmp_path):
    first = dataset("celeba", path=root).fingerprint()
    root.rename(tmp_path / "elsewhere")
    assert dataset("celeba", path=tmp_path / "elsewhere").fingerprint() == first


def test_celeba_without_its_files_is_refused_at_once(root, dataset, refusal, tmp_path):
    assert "celeba reads your own copy" in refusal(lambda: dataset("celeba"))
    nowhere = tmp_path / "nowhere"
    text = refusal(lambda: dataset("celeba", path=nowhere))
    assert f"bad.toml [dataset.x]: celeba: {nowhere} does not exist" in text
    (root / "list_eval_partition.txt").unlink()
    text = refusal(lambda: dataset("celeba", path=root))
    assert "no partition file" in text
    assert "stargan" in text
    assert dataset("celeba", path=root, split="stargan")
    (root / "list_attr_celeba.txt").unlink()
    assert "no attribute file; looked for list_attr_celeba.txt" in refusal(
        lambda: dataset("celeba", path=root)
    )


def test_celeba_path_may_name_a_variable(root, dataset, monkeypatch):
    monkeypatch.setenv("MY_DATA", str(root.parent))
    assert len(dataset("celeba", path="$MY_DATA/celeba").split("test")) == 3


def test_celeba_picture_without_partition_is_named(root, dataset, refusal):
    path = root / "list_eval_partition.txt"
    path.write_text(edited(path.read_text(encoding="utf-8"), ("000005.jpg 0\n", "")), encoding="utf-8")
    assert "has no line for 000005.jpg" in refusal(lambda: dataset("celeba", path=root).split("train"))


def test_celeba_action_units_leave_out_pictures_without(root, dataset):
    rows = [f"{i:06d}.jpg " + " ".join([str(i / 2)] * 17) for i in (1, 4, 8)]
    (root / "aus.txt").write_text("\n".join(rows), encoding="utf-8")
    data = dataset("celeba", path=root, size=32, action_units="aus.txt")
    assert (len(data.split("train")), len(data.split("calibration"))) == (1, 0)
    batch = data.split("test")[[0, 1]]
    assert batch.ids == ("celeba-000004", "celeba-000008")
    assert batch.action_units.shape == (2, 17)
    assert torch.allclose(batch.action_units[:, 0], torch.tensor([2 / 5, 4 / 5]))


@pytest.mark.parametrize("file", ["list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"])
@pytest.mark.parametrize("content", ["<!DOCTYPE html><html></html>\n", "image_id Bald Smiling Young\n", ""])
def test_celeba_page_or_header_in_place_of_a_list_is_refused(root, dataset, refusal, file, content):
    (root / file).write_text(content)
    data = dataset("celeba", path=root, size=32)
    assert file in refusal(lambda: data.split("test")[[0]])


def test_celeba_partition_that_means_nothing_is_named(root, dataset, refusal):
    file = root / "list_eval_partition.txt"
    file.write_text(edited(file.read_text(), ("000003.jpg 1", "000003.jpg 7")))
    assert f"{file}:3: 7 is not one of 0, 1, 2" in refusal(
        lambda: dataset("celeba", path=root).split("train")
    )


def test_celeba_pictures_with_one_id_are_refused(root, dataset, refusal):
    file = root / "list_attr_celeba.txt"
    file.write_text(edited(file.read_text(encoding="utf-8-sig"), ("000002.jpg", "000001.png")))
    said = refusal(lambda: dataset("celeba", path=root, split="stargan").split("test"))
    assert f"{file}: lists the id '000001' twice" in said

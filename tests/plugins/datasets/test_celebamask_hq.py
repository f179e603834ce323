"""CelebAMask-HQ: parts merged in order, CelebA's partition by the original file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.functional import CLASSES

# (index, orig_idx from 0, orig_file from 1): the last train picture, the first of validation and of test, ...
MAPPING = [
    (0, 162769, "162770.jpg"),
    (1, 162770, "162771.jpg"),
    (2, 182636, "182637.jpg"),
    (3, 182637, "182638.jpg"),
    (2001, 8, "000009.jpg"),
]


def part(root, index, name, pixels, mode="RGB"):
    path = root / "CelebAMask-HQ-mask-anno" / str(index // 2000) / f"{index:05d}_{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels.astype(np.uint8) * 255).convert(mode)
    picture.save(path)


def box(top, bottom, left, right, side=32):
    inside = np.zeros((side, side), dtype=bool)
    inside[top:bottom, left:right] = True
    return inside


@pytest.fixture
def root(tmp_path, paint):
    root = tmp_path / "CelebAMask-HQ"
    for i, (index, _, _) in enumerate(MAPPING):
        paint(root / "CelebA-HQ-img" / f"{index}.jpg", 64, 64, seed=i)
        part(root, index, "skin", box(8, 24, 8, 24))
    lines = [f"{index}.jpg  -1  1" for index, _, _ in MAPPING]
    (root / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(["5", "Bald Smiling ", *lines]) + "\n")
    lines = [f"{a}\t{b}     {c}" for a, b, c in MAPPING]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text(
        "\n".join(["idx\torig_idx\torig_file", *lines]) + "\n"
    )
    return root


def test_celebamask_splits_go_by_the_original_file(root, holds):
    data = holds("celebamask-hq", path=root, size=32)
    found = {n: data.split(n)[list(range(len(data.split(n))))].ids for n in ("train", "calibration", "test")}
    assert found == {
        "train": ("celebamask-hq-00000", "celebamask-hq-02001"),
        "calibration": ("celebamask-hq-00001", "celebamask-hq-00002"),
        "test": ("celebamask-hq-00003",),
    }


def test_celebamask_mapping_without_original_files_counts_from_zero(root, dataset):
    lines = [f"{a} {b}" for a, b, _ in MAPPING]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(["idx orig_idx", *lines]))
    data = dataset("celebamask-hq", path=root, size=32)
    assert [len(data.split(n)) for n in ("train", "calibration", "test")] == [2, 2, 1]


def test_celebamask_whole_pictures_are_resized_by_pil(root, dataset):
    picture = Image.open(root / "CelebA-HQ-img" / "3.jpg")
    expected = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR))
    image = dataset("celebamask-hq", path=root, size=16).split("test")[[0]].images[0]
    assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_celebamask_later_parts_cover_earlier_ones(root, dataset):
    part(root, 3, "nose", box(10, 20, 10, 20))
    part(root, 3, "hair", box(0, 16, 0, 32))
    masks = dataset("celebamask-hq", path=root, size=32).split("test")[[0]].masks[0]
    expected = np.zeros((32, 32), dtype=int)
    expected[8:24, 8:24] = CLASSES.index("skin")
    expected[10:20, 10:20] = CLASSES.index("nose")
    expected[0:16, :] = CLASSES.index("hair")
    assert np.array_equal(masks.argmax(0).numpy(), expected)
    assert masks.shape == (19, 32, 32)
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_celebamask_order_of_classes_is_the_parsers(root, dataset):
    """zllrunning's order: glasses 6, hair 17; in CelebAMask-HQ's own order they are 3 and 13."""
    part(root, 3, "eye_g", box(0, 4, 0, 4))
    part(root, 3, "hair", box(28, 32, 28, 32))
    masks = dataset("celebamask-hq", path=root, size=32).split("test")[[0]].masks[0]
    assert (masks[6, 0, 0], masks[17, 31, 31], masks[1, 12, 12], masks[0, 0, 31]) == (1, 1, 1, 1)


def test_celebamask_missing_part_is_absent(root, dataset):
    masks = dataset("celebamask-hq", path=root, size=32).split("test")[[0]].masks[0]
    present = masks.flatten(1).sum(1) > 0
    assert present.nonzero().flatten().tolist() == [0, 1]


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1", "RGBA"])
def test_celebamask_any_form_of_mask_file_means_the_same(root, dataset, mode):
    part(root, 3, "nose", box(10, 20, 10, 20), mode)
    masks = dataset("celebamask-hq", path=root, size=32).split("test")[[0]].masks[0]
    assert torch.equal(masks[CLASSES.index("nose")].bool(), torch.from_numpy(box(10, 20, 10, 20)))


def test_celebamask_one_channel_is_enough(root, dataset):
    """Palette files turn into other colours than white, as dark as (0, 0, 1)."""
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[10:20, 10:20, 2] = 1
    path = root / "CelebAMask-HQ-mask-anno" / "0" / "00003_nose.png"
    Image.fromarray(pixels).save(path)
    masks = dataset("celebamask-hq", path=root, size=32).split("test")[[0]].masks[0]
    assert torch.equal(masks[CLASSES.index("nose")].bool(), torch.from_numpy(box(10, 20, 10, 20)))


def test_celebamask_masks_become_soft_when_they_shrink(root, dataset):
    part(root, 3, "nose", box(8, 9, 8, 12))  # 4 of the 16 pixels that become one
    masks = dataset("celebamask-hq", path=root, size=16).split("test")[[0]].masks[0]
    assert torch.allclose(masks.sum(0), torch.ones(16, 16), atol=1e-6)
    assert masks[CLASSES.index("nose"), 4, 4:6].tolist() == [0.5, 0.5]
    assert masks[CLASSES.index("skin"), 4, 4:6].tolist() == [0.5, 0.5]


def test_celebamask_second_folder_holds_index_2000_and_on(root, dataset):
    part(root, 2001, "hat", box(0, 8, 0, 32))
    masks = dataset("celebamask-hq", path=root, size=32).split("train")[[1]].masks[0]
    assert masks[18, 0, 0] == 1


def test_celebamask_picture_without_any_part_is_named(root, dataset, refusal):
    (root / "CelebAMask-HQ-mask-anno" / "0" / "00003_skin.png").unlink()
    text = refusal(lambda: dataset("celebamask-hq", path=root, size=32).split("test")[[0]])
    assert "00003_skin.png" in text


def test_celebamask_parts_of_different_sizes_are_refused(root, dataset, refusal):
    part(root, 3, "nose", box(0, 4, 0, 4, side=64))
    text = refusal(lambda: dataset("celebamask-hq", path=root, size=32).split("test")[[0]])
    assert "00003_nose.png: (64, 64)" in text


def test_celebamask_does_without_masks_only_if_told(root, dataset, refusal, tmp_path):
    (root / "CelebAMask-HQ-mask-anno").rename(tmp_path / "gone")
    assert "masks = false" in refusal(lambda: dataset("celebamask-hq", path=root))
    assert dataset("celebamask-hq", path=root, size=32, masks=False).split("test")[[0]].masks is None


def test_celebamask_attributes_and_identities(root, dataset):
    (root / "identity_CelebA.txt").write_text(
        "182638.jpg 7\n162770.jpg 8\n000009.jpg 9\n162771.jpg 1\n182637.jpg 2\n"
    )
    data = dataset("celebamask-hq", path=root.parent, size=32)  # the folder above will do as well
    batch = data.split("train")[[0, 1]]
    assert batch.identities.tolist() == [8, 9]
    assert batch.attributes["Smiling"].tolist() == [1.0, 1.0]
    assert batch.attributes["Bald"].tolist() == [0.0, 0.0]


def test_celebamask_picture_that_the_mapping_lacks_is_named(root, dataset, refusal):
    path = root / "CelebA-HQ-to-CelebA-mapping.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    assert "has no line for picture 2001" in refusal(
        lambda: dataset("celebamask-hq", path=root).split("test")
    )

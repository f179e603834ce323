"""Portraits: lists, masks and landmarks of a folder, variations, and one line for whatever is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magdr_plugins.datasets.retouch import EDITS, mesh

from magdr_core.functional import CLASSES
from tests.edits import edited
from tests.portraits import made_mesh, painted, write_portraits


@pytest.fixture
def root(tmp_path):
    return write_portraits(tmp_path / "portraits")


def test_portraits_hold_what_every_dataset_promises(root, holds):
    data = holds("portraits", path=root, size=64)
    assert [len(data.split(n)) for n in ("train", "calibration", "test")] == [6, 2, 2]
    assert data.split("test")[[1]].ids == ("made/0009",)
    assert data.sources() == {"made": 10}


def test_variations_hold_what_every_dataset_promises(root, holds):
    data = holds("portraits", path=root, size=64, variations=2)
    split = data.split("train")
    assert len(split) == 12
    first, again = split[[1]], split[[7]]
    assert (first.ids, again.ids) == (("made/0001~0",), ("made/0001~1",))
    assert torch.equal(first.identities, again.identities)
    assert (first.images - again.images).abs().mean() > 0.02


def test_pictures_and_landmarks_are_shrunk_alike(root, dataset):
    batch = dataset("portraits", path=root, size=64).split("train")[[0]]
    picture = painted(128, 0)[0].astype(np.float64)
    expected = picture.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(batch.images[0].permute(1, 2, 0).numpy() * 255 - expected).max() <= 0.51
    assert np.abs(batch.annotations["landmarks"][0].numpy() - made_mesh() * 64).max() < 0.05


def test_masks_have_the_parts_where_the_landmarks_are(root, dataset):
    batch = dataset("portraits", path=root, size=64).split("train")[[0]]
    masks = batch.masks[0]
    assert (masks.sum(0) - 1).abs().max() < 1e-5

    def at(x, y):
        return CLASSES[int(masks[:, int(y * 64), int(x * 64)].argmax())]

    assert at(0.39, 0.46) == "l_eye"
    assert at(0.61, 0.46) == "r_eye"
    assert at(0.39, 0.40) == "l_brow"
    assert at(0.5, 0.57) == "nose"
    assert at(0.5, 0.68) == "u_lip"
    assert at(0.5, 0.74) == "l_lip"
    assert at(0.5, 0.71) == "mouth"
    assert at(0.3, 0.6) == "skin"
    assert at(0.5, 0.12) == "hair"
    assert at(0.5, 0.9) == "neck"
    assert at(0.1, 0.95) == "cloth"
    assert at(0.05, 0.05) == "background"


def test_a_variations_landmarks_move_with_the_picture(root, dataset):
    split = dataset("portraits", path=root, size=64, variations=30).split("train")
    batch = split[list(range(0, 180, 6))]
    points, masks = batch.annotations["landmarks"], batch.masks
    assert points[:, mesh.CHIN].std(0).min() > 1, "they differ"
    person = batch.annotations["person"][:, 0]
    # Hair was painted above the oval: its lower edge is at the top of the mesh wherever that goes.
    for b in range(len(points)):
        x, y = points[b, 10]
        above, below = person.new_tensor(float(y) - 3), float(y) + 3
        hair = batch.annotations["hair"][b, 0]
        assert hair[int(above), int(x)] > 0.9
        assert hair[int(below), int(x)] < 0.1
    assert (masks.sum(1) - 1).abs().max() < 1e-5


def test_variations_often_have_another_background_and_keep_the_face_recognisable(root, dataset):
    split = dataset("portraits", path=root, size=64, variations=40).split("train")
    batch = split[list(range(40))]
    wall = batch.images[:, :, 2:6, 2:6].mean((2, 3))
    plain = dataset("portraits", path=root, size=64).split("train")[[0]].images[:, :, 2:6, 2:6].mean((2, 3))
    others = (wall - plain).abs().amax(1) > 0.25
    assert 0.25 < others.float().mean() < 0.8
    assert 0 < batch.attributes["Eyeglasses"].mean() < 0.5
    worn = batch.attributes["Eyeglasses"] > 0
    glasses = batch.masks[:, CLASSES.index("eye_g")].sum((1, 2))
    assert (glasses[worn] > 10).all()
    assert (glasses[~worn] == 0).all()


def test_zero_leaves_a_portrait_as_it_is(root, dataset):
    split = dataset("portraits", path=root, size=64, variations=2).split("train")
    nothing = {name: torch.zeros(4) for name in EDITS}
    assert torch.equal(split.edited([0, 1, 2, 7], nothing), split[[0, 1, 2, 7]].images)


def test_someone_without_hair_counts_as_bald(root, dataset):
    from PIL import Image

    mask = painted(128, 0)[1]
    mask[..., 0] = 0
    Image.fromarray(mask).save(root / "made" / "0000.mask.png")
    split = dataset("portraits", path=root, size=64).split("train")
    batch = split[[0, 1]]
    assert batch.attributes["Bald"].tolist() == [1, 0]
    blond = split.edited([0, 1], {"Blond_Hair": torch.ones(2)})
    assert torch.equal(blond[0], batch.images[0])
    assert not torch.equal(blond[1], batch.images[1])


def test_blurred_portraits_can_be_left_out(root, dataset, refusal):
    data = dataset("portraits", path=root, size=64, least_source=104)
    assert [len(data.split(n)) for n in ("train", "calibration", "test")] == [2, 2, 2]
    assert data.fingerprint() != dataset("portraits", path=root, size=64).fingerprint()
    text = refusal(lambda: dataset("portraits", path=root, size=64, least_source=200))
    assert "no portrait is cut from 200 pixels or more" in text


def test_an_edit_that_there_is_not_is_refused(root, dataset, refusal):
    split = dataset("portraits", path=root, size=64).split("test")
    text = refusal(lambda: split.edited([0], {"Male": torch.ones(1)}))
    assert "can add Black_Hair" in text
    assert "not 'Male'" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name,split,size,source_side", "name,split"), "list.csv:1: expected the columns name,split"),
        (("0001,train", "0001,trian"), "list.csv:3: 'trian' is not one of train, calibration, test"),
        (("made/0001", "made/0000"), "list.csv:3: lists 'made/0000' twice"),
        (("made/0001", "../made/0001"), "list.csv:3: '../made/0001' is not a picture inside"),
        (("0001,train,128", "0001,train,0"), "list.csv:3: 0,101 are no sides in pixels"),
        (("0001,train,128,101", "0001,train,128"), "list.csv:3: 3 fields, expected 4"),
        (("made/0001", "made/0077"), "landmarks.npz: has no points of made/0077"),
    ],
)
def test_a_list_that_cannot_be_meant_is_told(root, dataset, refusal, change, said):
    path = root / "list.csv"
    path.write_text(edited(path.read_text(), change))
    assert said in refusal(lambda: dataset("portraits", path=root).split("train"))


def test_files_that_are_missing_or_damaged_are_told(root, dataset, refusal):
    assert "portraits reads your own copy" in refusal(lambda: dataset("portraits"))
    split = dataset("portraits", path=root).split("train")
    (root / "made" / "0002.mask.png").unlink()
    assert "0002.mask.png: does not exist, but list.csv lists it" in refusal(lambda: split[[2]])
    from PIL import Image

    Image.new("RGB", (64, 64)).save(root / "made" / "0003.jpg")
    assert "0003.jpg: 64x64 pixels, list.csv says 128x128" in refusal(lambda: split[[3]])
    np.savez(root / "landmarks.npz", names=np.array(["a"]), points=np.zeros((1, 68, 2)))
    again = dataset("portraits", path=root)
    assert "points are (1, 68, 2), expected (1, 468, 2)" in refusal(lambda: again.split("train"))
    (root / "landmarks.npz").write_bytes(b"PK\x03\x04 no archive")
    again = dataset("portraits", path=root)
    assert "landmarks.npz: is damaged" in refusal(lambda: again.split("train"))
    (root / "list.csv").unlink()
    assert "list.csv" in refusal(lambda: dataset("portraits", path=root))

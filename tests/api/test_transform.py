"""MagDR as a step of somebody's image pipeline or data loader."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from magdr_core.components.specs import GeneratorSpec
from magdr_core.errors import DataError
from magdr_core.inference import MagDRTransform
from magdr_core.toolkit import Toolkit
from tests.api.conftest import EDITS


@pytest.fixture
def always(calibrated, restoring):
    """Flags every face, and makes it darker."""
    return calibrated("always").as_transform(edits=EDITS)


def tensor_of(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def test_a_picture_that_is_not_disrupted_comes_back_as_the_same_object(calibrated, astronaut):
    transform = calibrated("never").as_transform(edits=EDITS)
    assert isinstance(transform, MagDRTransform)
    for picture in (astronaut, np.asarray(astronaut), tensor_of(astronaut)):
        assert transform(picture) is picture
        assert transform.photo.verdict is not None


def test_all_sorts_of_pictures_are_restored_alike_and_come_back_as_they_came(always, astronaut):
    array, tensor = np.array(astronaut), tensor_of(astronaut)
    restored = always(astronaut)
    assert isinstance(restored, Image.Image)
    assert (restored.mode, restored.size) == ("RGB", astronaut.size)
    expected = np.array(restored)
    assert (expected != array).any()
    assert np.array_equal(always(array), expected)
    assert always(array).dtype == np.uint8
    assert torch.equal(always(tensor), torch.from_numpy(expected).permute(2, 0, 1))
    assert always(tensor.float() / 255).dtype == torch.float32
    assert torch.allclose(always(tensor.float() / 255) * 255, always(tensor).float(), atol=1e-3)
    halves = always((array / 255).astype(np.float16))
    assert halves.dtype == np.float16


def test_it_does_what_the_pipeline_does(always, calibrated, astronaut):
    (photo,) = calibrated("always").photos(astronaut, edits=EDITS)
    assert np.array_equal(np.array(always(astronaut)), photo.restored_levels.permute(1, 2, 0).numpy())


def test_values_in_symmetric_units_come_back_in_them(calibrated, restoring, astronaut):
    pipeline = calibrated("always")
    x = tensor_of(astronaut).float() / 255
    unit = pipeline.as_transform(edits=EDITS)(x)
    both = pipeline.as_transform(edits=EDITS, value_range="symmetric")(x * 2 - 1)
    assert torch.allclose((both + 1) / 2, unit, atol=1e-5)
    assert both.min() < 0


def test_only_the_values_that_changed_are_others(always, astronaut):
    """Float values between the 8-bit ones stay where nothing was restored."""
    x = tensor_of(astronaut).float() / 255 * 0.999 + 0.0003
    y = always(x)
    box = always.photo.box
    outside = torch.ones(230, 230, dtype=torch.bool)
    outside[box.top : box.top + box.side, box.left : box.left + box.side] = False
    assert torch.equal(x[:, outside], y[:, outside])
    assert not torch.equal(x, y)


def test_a_grey_picture_stays_grey(always, astronaut):
    assert always(astronaut.convert("L")).mode == "L"


def test_called_by_name_it_keeps_what_else_it_is_told(always, astronaut):
    """As Albumentations calls transforms."""
    array, mask = np.array(astronaut), np.zeros((230, 230))
    done = always(image=array, mask=mask)
    assert set(done) == {"image", "mask"}
    assert done["mask"] is mask
    assert np.array_equal(done["image"], always(array))
    assert np.array_equal(always(array, rows=230, cols=230), always(array))  # as their Lambda does


def test_a_picture_without_a_face_is_handed_on_or_refused(calibrated):
    grey = Image.new("RGB", (80, 64), (90, 90, 90))
    pipeline = calibrated("always")
    assert pipeline.as_transform(edits=EDITS)(grey) is grey
    with pytest.raises(DataError, match="no face was found"):
        pipeline.as_transform(edits=EDITS, missing="raise")(grey)
    pipeline.as_transform(edits=EDITS, whole=True, missing="raise")(grey)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("a.png", "got a str"),
        (torch.zeros(2, 3, 8, 8), "one picture \\[3,H,W\\]"),
        (torch.zeros(3, 32, 32, dtype=torch.int64), "torch.int64"),
        (torch.full((3, 32, 32), -0.5), "must be in \\[0,1\\]"),
        (np.zeros((32, 32)), "expected \\[H,W,3\\]"),
    ],
    ids=["path", "batch", "integers", "range", "grey array"],
)
def test_what_is_no_picture_is_one_line(calibrated, picture, words):
    with pytest.raises(DataError, match=words):
        calibrated().as_transform(edits=EDITS)(picture)


def test_a_wrong_wish_is_told_at_once(calibrated):
    for wrong in ({}, {"edits": {"Blod_Hair": 1}}, {"edits": EDITS, "missing": "drop"}):
        with pytest.raises(DataError):
            calibrated().as_transform(**wrong)
    with pytest.raises(DataError, match="value_range"):
        calibrated().as_transform(edits=EDITS, value_range="bytes")


def test_it_can_be_pickled_and_makes_its_pipeline_again(calibrated, astronaut):
    transform = calibrated("always").as_transform(edits=EDITS, has=(name for name in ["Smiling"]))
    again = pickle.loads(pickle.dumps(transform))
    assert again._pipeline is None
    first = transform(astronaut)
    second = again(astronaut)
    assert again.magdr is not transform.magdr
    assert np.array_equal(np.array(first), np.array(second))
    assert str(again.photo.verdict) == str(transform.photo.verdict)
    assert repr(again) == repr(transform) == "<MagDRTransform edits={'Blond_Hair': 1}, has=['Smiling']>"


def test_components_of_this_process_alone_are_told(workshop, astronaut):
    class Nothing:
        size, condition_names = 32, ()

    mine = {"mine": [GeneratorSpec(name="nothing", build=Nothing)]}
    toolkit = Toolkit.from_registry(
        workshop / "small.toml",
        device="cpu",
        plugins=mine,
    )
    transform = toolkit.magdr("editing", cache=workshop / "cache").as_transform(edits=EDITS)
    with pytest.raises(DataError, match="cannot be pickled"):
        pickle.dumps(transform)


class Pictures(Dataset):
    def __init__(self, picture, transform):
        self.picture, self.transform = picture, transform

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return torch.from_numpy(np.array(self.transform(self.picture)))


@pytest.mark.slow
def test_workers_of_a_data_loader_that_are_started_anew_use_it(calibrated, astronaut):
    transform = calibrated("always").as_transform(edits=EDITS)
    (batch,) = DataLoader(
        Pictures(astronaut, transform), batch_size=2, num_workers=1, multiprocessing_context="spawn"
    )
    assert np.array_equal(batch[0].numpy(), np.array(transform(astronaut)))
    assert "torchvision" not in sys.modules

"""One's own pictures as calibration data: parts that never meet, edits enough, nothing made up."""

import pytest
import torch

from magdr_core.calibration.album import MIN_PICTURES, Album, Sharing
from magdr_core.calibration.partition import CalibrationPartition
from magdr_core.errors import DataError
from magdr_core.registry.settings import CalibrationPolicy


def album(count, seed=0):
    images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    shown = {"Smiling": torch.arange(count) % 2.0, "Male": torch.zeros(count)}
    return Album((images * 255).round() / 255, [f"{i}.jpg" for i in range(count)], shown)


@pytest.mark.parametrize("count", [24, 25, 60, 100, 1000])
def test_parts_share_no_picture_and_use_all(count):
    data = album(count)
    split = data.split("calibration")
    parts = [set(split[list(part.samples)].identities.tolist()) for part in data.sharing.samples]
    assert sum(data.sharing.samples.counts) == len(split)
    assert sum(map(len, parts)) == len(set.union(*parts)) == count
    assert tuple(map(len, parts)) == data.sharing.pictures.counts
    assert len(parts[2]) == len(parts[3]) >= 4
    assert data.sharing.samples.held_out.count == data.sharing.samples.learned.count


def test_calibration_is_told_how_many_samples_the_pictures_give():
    sharing = Sharing.of(25)
    policy = CalibrationPolicy(**sharing.numbers)
    assert CalibrationPartition.of(policy).counts == sharing.samples.counts


def test_few_pictures_are_used_with_several_edits_each():
    assert Sharing.of(24).repeats == 8
    assert Sharing.of(1000).repeats == 1
    batch = album(24)[list(range(56))]
    assert len(set(batch.ids)) == 56
    assert len(set(batch.identities.tolist())) == 7


def test_too_few_pictures_are_refused():
    with pytest.raises(DataError, match=f"23 clean pictures .* {MIN_PICTURES} at least"):
        album(23)


def test_each_picture_keeps_what_it_shows_and_action_units_are_zero():
    data = album(24)
    batch = data[list(range(len(data)))]
    assert set(batch.attributes) == {"Smiling", "Male"}
    assert torch.equal(batch.attributes["Smiling"], batch.identities % 2.0)
    assert not batch.attributes["Male"].any()
    assert batch.action_units.shape == (len(data), 17)
    assert not batch.action_units.any()


def test_the_fingerprint_names_the_pictures():
    assert album(24).fingerprint() == album(24).fingerprint()
    assert album(24).fingerprint() != album(24, seed=1).fingerprint()
    assert album(24).fingerprint() != album(25).fingerprint()
    other = album(24)
    told = Album(other._images, other._names, {"Smiling": torch.zeros(24), "Male": torch.zeros(24)})
    assert told.fingerprint() != other.fingerprint(), "edits are drawn by what pictures show"


def test_there_is_no_other_split():
    with pytest.raises(DataError, match="only 'calibration'"):
        album(24).split("test")

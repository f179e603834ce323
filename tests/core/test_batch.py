"""What a dataset knows about its pictures: one open mapping, with today's names as properties."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.batch import Batch
from magdr_core.errors import ComponentError
from magdr_core.guards.dataset import GuardedDataset
from magdr_core.isolation.copies import private, tensors_in

IDS = ("a", "b", "c")


def everything() -> Batch:
    return Batch(
        torch.rand(3, 3, 4, 4),
        IDS,
        {"Smiling": torch.tensor([0.0, 1.0, 0.0])},
        masks=torch.rand(3, 19, 4, 4),
        action_units=torch.rand(3, 17),
        identities=torch.tensor([7, 8, 9]),
        annotations={"forged": torch.rand(3, 1, 4, 4)},
    )


def test_a_batch_knows_everything_in_one_mapping():
    batch = everything()
    names = {"attribute:Smiling", "masks", "action_units", "identities", "forged"}
    assert set(batch.annotations) == names
    assert batch.attributes["Smiling"] is batch.annotations["attribute:Smiling"]
    assert batch.masks is batch.annotations["masks"]
    assert batch.action_units is batch.annotations["action_units"]
    assert batch.identities is batch.annotations["identities"]


def test_a_batch_from_annotations_alone_is_the_same():
    batch = everything()
    again = Batch(batch.images, batch.ids, annotations=batch.annotations)
    assert again.annotations == dict(batch.annotations)
    assert list(again.attributes) == ["Smiling"]


def test_what_a_batch_does_not_know_is_none():
    batch = Batch(torch.rand(3, 3, 4, 4), IDS, masks=None)
    assert batch.annotations == {}
    assert batch.masks is batch.action_units is batch.identities is None
    assert batch.attributes == {}


@pytest.mark.parametrize(
    "idx", [[2, 0], torch.tensor([2, 0]), torch.tensor([True, False, True]), slice(1, 3)]
)
def test_a_part_of_a_batch_keeps_what_is_known_of_it(idx):
    batch = everything()
    part = batch[idx]
    rows = torch.arange(3)[idx].tolist()
    assert part.ids == tuple(IDS[i] for i in rows)
    assert len(part) == 2
    for name, value in batch.annotations.items():
        assert torch.equal(part.annotations[name], value[rows]), name
    assert torch.equal(part.images, batch.images[rows])


def test_a_batch_moves_with_all_that_is_known():
    moved = everything().to("meta")
    assert moved.ids == IDS
    assert {t.device.type for t in (moved.images, *moved.annotations.values())} == {"meta"}
    assert len(moved.annotations) == 5


def test_a_private_batch_shares_nothing():
    batch = everything()
    copy = private(batch)
    assert len(list(tensors_in(copy))) == 6
    for mine, theirs in zip(tensors_in(batch), tensors_in(copy), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()


def test_what_is_given_twice_or_as_a_list_is_refused():
    images, masks = torch.rand(3, 3, 4, 4), torch.rand(3, 19, 4, 4)
    with pytest.raises(ValueError, match="masks is given twice"):
        Batch(images, IDS, masks=masks, annotations={"masks": masks})
    with pytest.raises(TypeError, match="attributes are a list, expected a mapping"):
        Batch(images, IDS, ["Smiling"])


class Data:
    size = 4

    def __init__(self, known):
        self.known = known

    def split(self, name):
        return self

    def __len__(self):
        return 3

    def __getitem__(self, indices):
        return Batch(
            torch.zeros(len(indices), 3, 4, 4), tuple(IDS[i] for i in indices), annotations=self.known
        )


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (
            {"forged": torch.zeros(2, 1, 4, 4)},
            r"gave forged: \(2, 1, 4, 4\), expected \[3, ...\]: a row for each",
        ),
        ({"forged": torch.tensor(1.0)}, r"gave forged: \(\), expected \[3, ...\]"),
        ({"forged": torch.tensor([0.0, 1.0, torch.nan])}, "gave forged: NaN or infinite values"),
        ({"attribute:Smiling": torch.zeros(4)}, r"gave attribute:Smiling: \(4,\), expected \[3, ...\]"),
        ({"forged": [1, 2, 3]}, "gave forged: a list, expected a tensor"),
        ({3: torch.zeros(3)}, "gave an annotation called 3, expected a text"),
        ({"clips": torch.zeros(3)}, r"gave clips: \(3,\) torch.float32, expected a number \[3\] int64"),
        ({"frames": torch.zeros(3, 1).long()}, r"gave frames: \(3, 1\) torch.int64, expected a number"),
    ],
)
def test_a_dataset_is_told_what_is_wrong_with_what_it_knows(known, told):
    split = GuardedDataset(Data(known), "dataset acme/faces").split("test")
    with pytest.raises(ComponentError, match=f"dataset acme/faces: {told}"):
        split[[0, 1, 2]]


def test_a_dataset_may_know_anything_that_has_a_row_for_each():
    known = {"forged": torch.rand(3, 1, 4, 4), "method": torch.tensor([0, 1, 2]), "none": torch.zeros(3, 0)}
    batch = GuardedDataset(Data(known), "dataset acme/faces").split("test")[[0, 1, 2]]
    assert set(batch.annotations) == set(known)


class Growing(Data):
    """One picture of a split called test, none of others; it counts how often it is looked at."""

    looked = 0

    def split(self, name):
        self.count = int(name == "test")
        return self

    def __len__(self):
        return self.count

    def __getitem__(self, indices):
        self.looked += 1
        return super().__getitem__(indices)


def test_what_is_known_of_a_split_is_told_by_its_first_picture_looked_at_once():
    data = Growing({"clips": torch.tensor([4])})
    guarded = GuardedDataset(data, "dataset acme/faces")
    assert [guarded.known_of("test") for _ in range(3)] == [{"clips"}] * 3
    assert data.looked == 1
    assert guarded.known_of("train") == frozenset()


def test_what_a_clip_opens_with_stands_in_for_what_a_frame_shows():
    known = {"action_units": torch.ones(3, 17), "opening:action_units": torch.zeros(3, 17)}
    batch = Batch(torch.zeros(3, 3, 4, 4), IDS, annotations={**known, "clips": torch.tensor([0, 0, 1])})
    assert float(batch.opening.action_units.max()) == 0
    assert batch.opening.clips is batch.clips
    still = Batch(torch.zeros(3, 3, 4, 4), IDS, action_units=torch.ones(3, 17))
    assert still.opening is still
    assert still.clips is None

"""Drawn persons with several pictures each."""

from __future__ import annotations

import torch
from magdr_plugins.datasets.procedural_people import ProceduralPeople


def test_pictures_of_one_person_share_the_face_and_nothing_else():
    split = ProceduralPeople(size=32, pictures=4).split("train")
    parameters = split.parameters(list(range(8)))
    who = parameters.identity
    for name in ("head", "tone", "iris"):
        drawn = getattr(who, name)
        assert torch.equal(drawn[:4], drawn[:1].expand_as(drawn[:4])), name
        assert not torch.equal(drawn[3], drawn[4]), name
    assert len(parameters.action_units[:4].unique(dim=0)) == 4
    batch = split[range(8)]
    assert batch.identities.tolist() == [0] * 4 + [1] * 4
    assert len(batch.images.flatten(1).unique(dim=0)) == 8
    assert split.indices_of(batch.ids) == list(range(8))
    assert split.indices_of(["picture-0-of-5", "face-0"]) == [-1, -1]


def test_an_edit_leaves_the_person():
    split = ProceduralPeople(size=32).split("test")
    edited = split.edited([0, 1], {"Blond_Hair": torch.ones(2)})
    assert edited.shape == (2, 3, 32, 32)
    assert not torch.equal(edited, split[[0, 1]].images)


def test_nobody_is_in_two_splits():
    dataset = ProceduralPeople(pictures=2)
    people = [
        set(dataset.split(name).people([0, len(dataset.split(name)) - 1])) for name in ("train", "test")
    ]
    assert not people[0] & people[1]
    assert dataset.fingerprint() != ProceduralPeople(pictures=3).fingerprint()

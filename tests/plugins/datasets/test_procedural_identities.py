"""Pictures of one fixed person, and the exact pictures with the other person's face."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.datasets.faces import CLASSES
from magdr_plugins.datasets.procedural_faces import ProceduralFaces

from magdr_core.errors import DataError

INDICES = list(range(6))
FACE = [
    CLASSES.index(n) for n in CLASSES if n not in ("background", "neck", "neck_l", "cloth", "hair", "hat")
]


@pytest.fixture(scope="module")
def a():
    return ProceduralFaces(identity="A").split("test")


@pytest.fixture(scope="module")
def b():
    return ProceduralFaces(identity="B").split("test")


def test_one_person_in_many_scenes(a, b):
    mine, other = a.parameters(INDICES), b.parameters(INDICES)
    for person in (mine.identity, other.identity):
        assert torch.equal(person.nose, person.nose[:1].expand_as(person.nose))
        assert torch.equal(person.hair.noise, person.hair.noise[:1].expand_as(person.hair.noise))
    assert not torch.equal(mine.identity.nose, other.identity.nose)
    assert mine.pose.scale.unique().numel() == len(INDICES)
    # The two persons pose alike.
    assert torch.equal(mine.pose.yaw, other.pose.yaw)
    assert torch.equal(mine.action_units, other.action_units)
    assert torch.equal(mine.surroundings.clouds, other.surroundings.clouds)


def test_one_person_does_not_depend_on_the_batch(a):
    whole = a[INDICES]
    assert torch.equal(a[[4]].images[0], whole.images[4])
    assert torch.equal(a.replaced([4])[0], a.replaced(INDICES)[4])
    assert len(set(whole.identities.tolist())) == len(INDICES), "each frame is resampled by itself"


def test_splits_of_one_person_show_other_scenes(a):
    train = ProceduralFaces(identity="A").split("train")
    assert not torch.equal(train.parameters(INDICES).pose.yaw, a.parameters(INDICES).pose.yaw)


def test_everybody_is_as_before_and_named_so():
    assert ProceduralFaces().fingerprint() == "procedural-faces-v2-64px-grain1"
    names = {ProceduralFaces(identity=who).fingerprint() for who in ("everybody", "A", "B")}
    assert len(names) == 3
    everybody = ProceduralFaces().split("test").parameters(INDICES)
    assert everybody.identity.tone.unique().numel() == len(INDICES)


def test_replacement_changes_the_face_and_keeps_the_rest(a):
    batch, target = a[INDICES], a.replaced(INDICES)
    assert torch.equal((target * 255).round() / 255, target), "an 8-bit image"
    face = batch.masks[:, FACE].sum(1, keepdim=True)
    reached = F.max_pool2d((face > 1e-6).float(), 5, 1, 2)  # the camera's blur
    change = (target - batch.images).abs().amax(1, keepdim=True)
    assert (change * (1 - reached)).max() == 0
    assert ((change * (face > 0.99)).flatten(1).sum(1) / (face > 0.99).flatten(1).sum(1) > 0.05).all()


def test_replacement_keeps_the_scene_and_takes_the_others_features(a, b):
    # Where both faces are drawn alike (same scene, no hair or outline between), the pixels are the other's.
    target, own = a.replaced(INDICES), a[INDICES].images
    batch = b[INDICES]
    masks, other = batch.masks, batch.images
    inner = masks[:, [CLASSES.index(n) for n in ("l_eye", "r_eye", "nose", "mouth", "u_lip", "l_lip")]].sum(1)
    core = F.avg_pool2d((inner > 0.99).float()[:, None], 3, 1, 1)[:, 0] > 0.99
    to_other = (target - other).abs().amax(1)[core].median()
    to_own = (target - own).abs().amax(1)[core].median()
    assert to_other < 0.05 * to_own


def test_replacement_goes_both_ways(a, b):
    there, back = a.replaced(INDICES), b.replaced(INDICES)
    assert not torch.equal(there, back)
    assert (back - b[INDICES].images).abs().max() > 0.2


def test_replacement_needs_one_person():
    with pytest.raises(DataError, match='procedural-faces with identity = "A" or "B"'):
        ProceduralFaces().split("test").replaced([0])

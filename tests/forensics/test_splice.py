"""The forgery `splice`: one part of another face."""

from __future__ import annotations

import pytest
import torch

from magdr_core.api import DataError
from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.functional import merge_classes, part_index
from plugins.datasets.procedural_faces import ProceduralFaces
from plugins.forgeries.splice import splice

SPLIT = ProceduralFaces(size=64).split("test")
FACES, DONORS = SPLIT[list(range(40))], SPLIT[list(range(100, 140))]


def rng():
    return SampleRng(0, "splice", FACES.ids)


FORGED = splice(FACES, DONORS, rng())


def test_a_splice_is_small_and_leaves_the_rest_alone():
    assert bool(FORGED.masks.flatten(1).any(1).all())
    assert 0.01 < float(FORGED.masks.mean()) < 0.12
    outside = (FORGED.alpha == 0).expand_as(FACES.images)
    assert torch.equal(FORGED.images[outside], FACES.images[outside])
    inside = FORGED.masks.bool().expand_as(FACES.images)
    assert float((FORGED.images - FACES.images)[inside].abs().mean()) > 10 / 255


def test_every_part_is_pasted_now_and_then_and_nearly_all_of_it_on_the_face():
    parts = merge_classes(FACES.masks)
    covered = {
        name: ((FORGED.masks[:, 0] * parts[:, part_index(name)]).sum((1, 2)) / FORGED.masks[:, 0].sum((1, 2)))
        for name in ("eyes", "nose", "mouth", "skin")
    }
    assert all(int((share > 0.2).sum()) >= 3 for share in covered.values())
    off = parts[:, [part_index("background"), part_index("cloth")]].sum(1)
    assert float((FORGED.masks[:, 0] * off).sum() / FORGED.masks.sum()) < 0.05


def test_colours_are_brought_towards_the_source():
    def difference(match):
        made = splice(FACES, DONORS, rng(), match=match, feather=0.0)
        weight = made.masks / made.masks.sum((1, 2, 3), keepdim=True)
        return ((made.images - FACES.images) * weight).sum((2, 3)).abs().mean()

    far, half, near = (float(difference(match)) for match in (0.0, 0.5, 1.0))
    assert near < 0.15 * far
    assert half == pytest.approx(far / 2, rel=0.1)


def test_a_picture_alone_is_forged_as_in_a_batch():
    alone = splice(FACES[7:8], DONORS[7:8], rng().select([7]))
    assert torch.equal(alone.images[0], FORGED.images[7])
    assert torch.equal(alone.masks[0], FORGED.masks[7])


def test_faces_without_masks_are_refused():
    bare = Batch(FACES.images[:1], FACES.ids[:1])
    with pytest.raises(DataError, match="exact masks"):
        splice(bare, DONORS[:1], rng().select([0]))

"""Exact pairs for reenactment: the same picture of `procedural-faces` with other action units."""

import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.datasets.faces import render
from magdr_plugins.datasets.procedural_faces import ProceduralFaces


@pytest.fixture(scope="module")
def split():
    return ProceduralFaces(size=32).split("calibration")


INDICES = [4, 9, 2]


def test_its_own_action_units_give_the_picture_itself(split):
    batch = split[INDICES]
    assert torch.equal(split.reenacted(INDICES, batch.action_units), batch.images)


def test_other_units_move_the_face_and_nothing_else(split):
    batch = split[INDICES]
    units = batch.action_units.roll(1, 0)
    moved = split.reenacted(INDICES, units)
    assert torch.equal(moved * 255, (moved * 255).round()), "8-bit levels"
    change = (moved - batch.images).abs().amax(1)
    assert (change.amax((1, 2)) > 0.1).all()
    # Two pixels away from whatever is not background: the camera's blur carries edges that far.
    near = F.max_pool2d((batch.masks[:, :1] < 1).float(), 5, 1, 2)[:, 0] > 0
    assert not near.all()
    assert change[~near].max() == 0
    parameters = split.parameters(INDICES)
    assert torch.equal(parameters.action_units, batch.action_units), "the split's own faces stay"
    assert not torch.equal(render(parameters, 32)[0], moved)


def test_a_moved_face_does_not_depend_on_the_batch(split):
    units = torch.rand(3, 17, generator=torch.Generator().manual_seed(0))
    together = split.reenacted(INDICES, units)
    assert torch.equal(split.reenacted(INDICES[1:2], units[1:2]), together[1:2])

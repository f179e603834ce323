"""Classical edits: what they change, that they change nothing else, and that the size does not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magdr_plugins.datasets.retouch import EDITS, HAIR, Scene, mesh
from magdr_plugins.datasets.retouch.glasses import Frames, glasses_masks, wearing
from magdr_plugins.datasets.retouch.hair import COLOURS, hair_region, recoloured
from magdr_plugins.datasets.retouch.lab import from_lab, to_lab
from magdr_plugins.datasets.retouch.shapes import places, polygon, to_segment
from magdr_plugins.datasets.retouch.smile import smiling
from skimage.color import lab2rgb, rgb2lab
from skimage.draw import polygon2mask

from magdr_core.api import SampleRng
from tests.portraits import made_mesh, painted

SIZE = 128


def points(size=SIZE, rows=1):
    return (torch.from_numpy(made_mesh()).float() * size).expand(rows, -1, -1)


def face(size=SIZE, seed=0):
    picture, mask = (torch.from_numpy(a).permute(2, 0, 1)[None].float() / 255 for a in painted(size, seed))
    return picture, mask[:, :1], mask[:, 1:2]


def test_lab_is_that_of_skimage_and_comes_back():
    x = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    theirs = rgb2lab(x.permute(0, 2, 3, 1).numpy())
    assert np.abs(to_lab(x).permute(0, 2, 3, 1).numpy() - theirs).max() < 0.02
    assert (from_lab(to_lab(x)) - x).abs().max() < 1e-3
    vivid = torch.tensor([60.0, 30.0, -20.0]).reshape(1, 3, 1, 1)
    assert np.abs(from_lab(vivid).flatten().numpy() - lab2rgb([[[60.0, 30.0, -20.0]]]).flatten()).max() < 1e-3


def test_polygons_cover_what_skimage_fills():
    corners = torch.tensor([[[5.0, 4.0], [40.0, 12.0], [24.0, 20.0], [36.0, 44.0], [8.0, 30.0]]])
    ours = polygon(corners, 48)[0, 0] > 0.5
    # skimage counts rows before columns, and a pixel's middle as whole numbers.
    theirs = polygon2mask((48, 48), corners[0].flip(1).numpy() - 0.5)
    assert (ours.numpy() != theirs).mean() < 0.005


def test_the_distance_to_a_segment_by_hand():
    distance = to_segment(places(8, torch.zeros(1)), torch.tensor([[1.5, 2.5]]), torch.tensor([[4.5, 2.5]]))
    assert distance[0, 2, 3] == 0
    assert distance[0, 5, 3] == pytest.approx(3)
    assert distance[0, 2, 6] == pytest.approx(2)
    assert distance[0, 6, 7] == pytest.approx(5)


@pytest.mark.parametrize("name", HAIR)
def test_hair_gets_its_colour_and_nothing_else_changes(name):
    x, hair, person = face()
    region = hair_region(hair, person, points())
    y = recoloured(x, region, torch.tensor([HAIR.index(name)]))
    inner = (region == 1)[0, 0]
    mean = torch.from_numpy(rgb2lab(y[0].permute(1, 2, 0).numpy()))[inner].mean(0)
    assert (mean - torch.tensor(COLOURS[name][0])).abs().max() < 3
    assert torch.equal(y[:, :, ~(region > 0)[0, 0]], x[:, :, ~(region > 0)[0, 0]])
    # Strands: what was lighter than its neighbours still is.
    strands = torch.stack([to_lab(v)[0, 0][inner] for v in (x, y)])
    assert torch.corrcoef(strands)[0, 1] > 0.9


def test_the_inner_face_and_the_background_are_no_hair():
    _, hair, person = face()
    leaking = torch.full_like(hair, 0.9)
    region = hair_region(leaking, person, points())[0, 0]
    assert region[int(0.5 * SIZE), int(0.5 * SIZE)] == 0
    assert region[int(0.93 * SIZE), int(0.5 * SIZE)] == 0, "a collar"
    assert region[4, 4] == 0
    assert region[int(0.12 * SIZE), int(0.5 * SIZE)] == 1


def test_a_smile_lifts_and_widens_the_mouth_and_leaves_the_rest():
    x = torch.full((1, 3, SIZE, SIZE), 0.8)
    at = points()

    def blot(row):
        off = places(SIZE, x) - at[:, row, None, None]
        return torch.exp(-off.square().sum(-1) / 8)[:, None]

    def middle(y):
        weight = (0.8 - y).mean(1, keepdim=True).clamp_min(0)
        there = (places(SIZE, x)[..., None, :] * weight[0, 0, :, :, None, None]).sum((1, 2))
        return (there / weight.sum())[0, 0]

    width = (at[0, mesh.RIGHT_CORNER] - at[0, mesh.LEFT_CORNER]).norm()
    for corner, sign in ((mesh.LEFT_CORNER, -1), (mesh.RIGHT_CORNER, 1)):
        marked = x - 0.5 * blot(corner)
        moved = (middle(smiling(marked, at)) - middle(marked)) / width
        assert 0.05 < sign * moved[0] < 0.25
        assert -0.3 < moved[1] < -0.08, "up"
    noise = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    changed = (smiling(noise, at) != noise).any(1)[0]
    assert changed[int(0.7 * SIZE), int(0.5 * SIZE)]
    assert not changed[: int(0.4 * SIZE)].any()
    assert not changed[:, : int(0.1 * SIZE)].any()


def test_glasses_are_around_the_eyes_and_reach_the_temples():
    x, _, _ = face()
    frames = Frames.ordinary(torch.zeros(1))
    rim, lens = glasses_masks(points(), frames, SIZE)
    left, right = mesh.eyes(points())
    distance = float(right[0, 0] - left[0, 0])
    above = int(left[0, 1] - 0.28 * distance)
    assert rim[0, 0, above, int(left[0, 0])] > 0.7, "the upper rim"
    assert rim[0, 0, int(left[0, 1]), int(0.5 * SIZE)] > 0.8, "the bridge"
    assert lens[0, 0, int(right[0, 1]), int(right[0, 0])] == 1
    assert (rim + lens).max() <= 1
    y = wearing(x, points(), frames)
    solid = (rim == 1).expand_as(y)
    assert (y[solid].reshape(3, -1).mean(1) - frames.colour[0]).abs().max() < 1e-3
    untouched = ((rim == 0) & (lens == 0)).expand_as(y)
    assert torch.equal(y[untouched], x[untouched])
    pupil = y[0, :, int(right[0, 1]), int(right[0, 0])]
    assert torch.allclose(pupil, 0.9 * x[0, :, int(right[0, 1]), int(right[0, 0])])


def test_drawn_glasses_differ_in_shape_and_colour_by_stream():
    frames = Frames.drawn(SampleRng(0, "glasses", [str(i) for i in range(64)]))
    assert 0.29 < frames.wide.min() < frames.wide.max() < 0.43
    assert frames.exponent.std() > 0.3
    assert frames.colour.amax(1).min() < 0.25 < 0.5 < frames.colour.amax(1).max()
    again = Frames.drawn(SampleRng(0, "glasses", ["5"]))
    assert torch.equal(again.colour[0], frames.colour[5])


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_the_same_at_both_sizes(name):
    fine = face(256)
    large = Scene.of(*fine, points(256))
    small = Scene.of(*(torch.nn.functional.avg_pool2d(t, 2) for t in fine), points(128))
    wish = {name: torch.ones(1)}
    pooled = torch.nn.functional.avg_pool2d(large.images(wish) - large.images({}), 2)
    change = small.images(wish) - small.images({})
    assert torch.corrcoef(torch.stack([pooled.flatten(), change.flatten()]))[0, 1] > 0.95
    assert change.abs().max() > 0.1


def test_several_wishes_are_granted_row_by_row():
    parts = [t.expand(4, -1, -1, -1) for t in face()]
    scene = Scene.of(*parts, points(rows=4))
    plain = scene.images({})
    wishes = {"Blond_Hair": torch.tensor([1.0, 0, 0, 1]), "Eyeglasses": torch.tensor([0.0, 1, 0, 1])}
    y = scene.images(wishes)
    assert torch.equal(y[2], plain[2])
    hair = (y[0] != plain[0]).any(0)
    glasses = (y[1] != plain[1]).any(0)
    both = (y[3] != plain[3]).any(0)
    assert torch.equal(both, hair | glasses)
    assert not (hair & glasses).all()

"""Faces that are tilted, or fill the picture: found, cut out upright, and put back where they were."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.functional import to_8bit
from magdr_core.media.faces import Box, cut, face_cut, paste, paste_change
from magdr_core.media.finding import find_faces

CENTRE = (117, 226)  # of the square that the cascade sees in the astronaut


def rotated(image, angle):
    """By Pillow, counter-clockwise about the middle."""
    levels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    turned = Image.fromarray(levels).rotate(
        angle, resample=Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)
    )
    return torch.from_numpy(np.array(turned)).permute(2, 0, 1).float() / 255


def where(point, angle, middle=256):
    """Where a point (row, column) of the picture is after Pillow's rotation."""
    down, right = point[0] - middle, point[1] - middle
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return middle + down * cos - right * sin, middle + down * sin + right * cos


@pytest.mark.parametrize("angle", [25, -25])
def test_a_tilted_face_is_found_where_it_is_and_cut_out_upright(astronaut, angle):
    picture = rotated(astronaut, angle)
    (face,) = find_faces(picture)
    assert face.angle == pytest.approx(angle, abs=8)
    assert math.dist(face.centre, where(CENTRE, angle)) < 14
    (upright,) = find_faces(astronaut)
    wanted = cut(astronaut, face_cut(upright, 512, 512), 48).flatten()
    found = cut(picture, face_cut(face, 512, 512), 48).flatten()
    untilted = cut(picture, face_cut(Box(face.top, face.left, face.side), 512, 512), 48).flatten()
    alike = [float(torch.corrcoef(torch.stack([wanted, other]))[0, 1]) for other in (found, untilted)]
    assert alike[0] > 0.3  # the cascade sees a larger square in one of them
    assert alike[0] > alike[1] + 0.1


def test_an_upright_face_is_not_turned(astronaut):
    for angle in (0, -5):
        (face,) = find_faces(rotated(astronaut, angle) if angle else astronaut)
        assert face.angle == 0


def test_a_face_that_fills_the_picture_is_found(astronaut):
    tight = astronaut[:, 62:174, 170:282]
    (face,) = find_faces(tight)
    assert face.side > 60
    box = face_cut(face, *tight.shape[1:])
    assert box.top >= 0
    assert box.side <= 112


@pytest.fixture
def box():
    return Box(100, 160, 130, 25.0)


def test_turned_squares_show_what_pillow_rotates_upright(astronaut, box):
    """An independent reference: rotate the whole picture the other way, then cut."""
    row, column = where(box.centre, -box.angle)
    reference = rotated(astronaut, -box.angle)
    straight = cut(reference, Box.around(row, column, box.side), 64)
    ours = cut(astronaut, box, 64)
    assert (ours - straight).abs().mean() < 0.02
    assert torch.equal(ours, to_8bit(ours))


@pytest.mark.parametrize("levels", [False, True])
def test_a_change_is_put_back_where_it_was_and_nowhere_else(astronaut, box, levels):
    picture = (astronaut * 255).round().byte() if levels else astronaut
    before = cut(picture, box, 64)
    after = before.clone()
    after[:, 24:40, 24:40] = to_8bit((before[:, 24:40, 24:40] * 0.5 + 0.4).clamp(0, 1))
    changed = paste_change(picture, box, before, after)
    assert changed.dtype == picture.dtype
    again = cut(changed, box, 64)
    assert (again - after)[:, 8:56, 8:56].abs().mean() < 0.01
    moved = (changed != picture).any(0).nonzero()
    distances = (moved + 0.5 - torch.tensor(box.centre)).norm(dim=1)
    assert distances.max() < box.side / 2
    assert paste_change(picture, box, before, before.clone()) is picture


def test_a_limit_holds_in_a_turned_square_too(astronaut, box):
    before = cut(astronaut, box, 64)
    after = to_8bit((before + 0.2).clamp(0, 1))
    changed = paste_change(astronaut, box, before, after, limit=6 / 255)
    assert 5 / 255 < (changed - astronaut).abs().max() <= 6 / 255 + 1e-6


def test_a_face_is_pasted_into_a_turned_square(astronaut, box):
    face = torch.zeros(3, 64, 64)
    face[0] = 1.0
    pasted = paste(astronaut, box, face)
    row, column = (int(c) for c in box.centre)
    assert torch.equal(pasted[:, row, column], torch.tensor([1.0, 0, 0]))
    corner = Box(box.top, box.left, 4)  # of the square before it was turned: outside of it now
    assert torch.equal(pasted[:, corner.top, corner.left], astronaut[:, corner.top, corner.left])


def test_a_square_at_the_edge_of_the_picture_is_cut_and_put_back(astronaut):
    box = Box(-20, 400, 140, -25.0)
    before = cut(astronaut, box, 32)
    changed = paste_change(astronaut, box, before, to_8bit(1 - before))
    assert changed.shape == astronaut.shape
    assert (changed != astronaut).any()


def test_a_large_turned_square_is_cut_at_a_smaller_size():
    y, x = torch.meshgrid(torch.linspace(0, 1, 2400), torch.linspace(0, 1, 2400), indexing="ij")
    picture = (torch.stack([x, y, 1 - x]) * 255).round().byte()
    box = Box(200, 200, 2000, 10.0)
    small = cut(picture, box, 64)
    row, column = box.centre
    assert small[0, 31:33, 31:33].mean() == pytest.approx(column / 2400, abs=0.01)
    right = math.cos(math.radians(10)) * 1000 * 62 / 64
    assert small[0, 31:33, -1].mean() == pytest.approx((column + right) / 2400, abs=0.02)
    assert row == column

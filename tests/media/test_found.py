"""Faces by their eyes and mouths, and which of several comes first."""

import math

import pytest
import torch

from magdr_core.media.faces import Box, face_cut
from magdr_core.media.found import FoundFace, faces_in, places_in


def turned(point, about, angle):
    """A point (x, y) turned counter-clockwise about another, as one sees it: y points down."""
    x, y = point[0] - about[0], point[1] - about[1]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return about[0] + x * cos + y * sin, about[1] - x * sin + y * cos


EYES, MOUTH = ((260.0, 300.0), (340.0, 300.0)), (300.0, 380.0)


def test_eyes_and_mouth_give_the_square_that_celeba_hq_cuts_out():
    # The eyes are 80 apart, the mouth 80 below: the side is max(4 * 80, 3.6 * 80) = 320, its middle a tenth
    # of the way from the eyes to the mouth: row 308.
    face = FoundFace.from_landmarks(*EYES, MOUTH, score=0.9)
    assert (face.box.side, face.box.angle, face.score) == (200, 0.0, 0.9)
    assert face_cut(face.box, 1000, 1000) == Box(148, 140, 320)
    # With a longer face its height decides: max(4 * 80, 3.6 * 100) = 360, around row 310.
    longer = FoundFace.from_landmarks(*EYES, (300.0, 400.0))
    assert face_cut(longer.box, 1000, 1000) == Box(130, 120, 360)


@pytest.mark.parametrize("angle", [25.0, -25.0, 70.0, -160.0])
def test_a_turned_face_has_the_same_square_turned(angle):
    upright = FoundFace.from_landmarks(*EYES, MOUTH).box
    points = [turned(point, (300, 300), angle) for point in (*EYES, MOUTH)]
    face = FoundFace.from_landmarks(*points).box
    assert face.side == upright.side
    assert face.angle == pytest.approx(angle)
    column, row = turned(upright.centre[::-1], (300, 300), angle)
    assert face.centre == pytest.approx((row, column), abs=0.6)


def test_it_does_not_matter_which_eye_comes_first():
    points = [turned(point, (300, 300), 40) for point in (*EYES, MOUTH)]
    eye, other, mouth = points
    assert FoundFace.from_landmarks(other, eye, mouth) == FoundFace.from_landmarks(eye, other, mouth)


def test_a_face_that_is_hardly_turned_counts_as_upright():
    points = [turned(point, (300, 300), 8) for point in (*EYES, MOUTH)]
    assert FoundFace.from_landmarks(*points, upright=10).box.angle == 0.0
    assert FoundFace.from_landmarks(*points, upright=5).box.angle == pytest.approx(8)


def test_a_head_that_is_turned_away_is_cut_by_its_height_and_tilt():
    # Seen from the side the eyes are near each other; the mouth tells the rest.
    face = FoundFace.from_landmarks((295.0, 300.0), (305.0, 300.0), (300.0, 380.0))
    assert face.box.angle == 0.0
    assert face_cut(face.box, 1000, 1000).side == 288


class Two:
    small, large = FoundFace(Box(0, 0, 10), 0.9), FoundFace(Box(20, 20, 30), 0.4)

    def __call__(self, picture):
        return [self.small, self.large]


class Quick(Two):
    def places(self, picture):
        return [self.small]


def test_the_largest_face_comes_first_however_sure_others_are():
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    assert [box.side for box in faces_in(picture, Two())] == [30, 10]
    assert [box.side for box in places_in(picture, Two())] == [30, 10]
    assert [box.side for box in places_in(picture, Quick())] == [10]
    assert [box.side for box in faces_in(picture, Quick())] == [30, 10]


def test_a_square_reaches_a_picture_by_a_turned_corner_too():
    assert Box(-9, 4, 10).reaches(20, 20)
    assert not Box(-10, 4, 10).reaches(20, 20)
    assert Box(-11, 4, 10, 45.0).reaches(20, 20)
    assert not Box(-13, 4, 10, 45.0).reaches(20, 20)
    assert not Box(4, 20, 10).reaches(20, 20)

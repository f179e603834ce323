"""A face followed through a clip, and verdicts that do not flicker."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from magdr_core.functional import resize
from magdr_core.media import Cascade
from magdr_core.media.finding import find_faces, turn_of
from magdr_core.media.tilted import turned
from magdr_core.media.track import (
    face_track,
    half_second_medians,
    running_median,
    smoothed,
    steady,
    stretches,
)


def walking(astronaut, count=20):
    """The face moves right by two pixels a frame; half-way one frame is blank."""
    person = resize(astronaut[None, :, :230, 110:340], 120)[0]
    frames = []
    for i in range(count):
        frame = torch.full((3, 130, 200), 0.5)
        if i != count // 2:
            frame[:, 5:125, 5 + 2 * i : 125 + 2 * i] = person
        frames.append(frame)
    return frames


def timed(frames, fps):
    return [(i / fps, frame) for i, frame in enumerate(frames)]


def test_the_cut_follows_the_face_smoothly_and_bridges_gaps(astronaut):
    told = []
    times, boxes = face_track(timed(walking(astronaut), 10), Cascade(), progress=told.append)
    assert told[-1] == len(boxes) == len(times) == 20
    lefts = [box.left for box in boxes]
    steps = np.diff(lefts)
    assert lefts[-1] - lefts[0] == pytest.approx(38, abs=4)
    assert min(steps) >= 0
    assert max(steps) <= 4
    assert len({box.side for box in boxes}) <= 3


def test_another_larger_face_does_not_take_over(astronaut):
    frames = walking(astronaut, 8)
    for frame in frames:
        frame[:, 5:125, 5:200] = 0.5
        frame[:, 20:100, 5:85] = resize(astronaut[None, :, :230, 110:340], 80)[0]
    for frame in frames[4:]:
        frame[:, 10:120, 88:198] = resize(astronaut[None, :, :230, 110:340], 110)[0]
    _, boxes = face_track(timed(frames, 6), Cascade())
    assert all(box.left + box.side / 2 < 90 for box in boxes)


def test_no_face_gives_no_track():
    blank = timed([torch.full((3, 64, 64), 0.5)] * 4, 25)
    assert face_track(blank, Cascade()) == ([0.0, 0.04, 0.08, 0.12], [])


def test_an_outlier_does_not_bend_the_path():
    seen = np.array([[4 * i / 12, 50.0, 60.0, 30.0] for i in range(6)])
    seen[3, 1:] = (5.0, 150.0, 80.0)
    for row, column, side in smoothed(seen, np.arange(24) / 12):
        assert (row, column, side) == pytest.approx((50, 60, 30))


def test_a_steady_motion_is_not_delayed():
    seen = np.array([[i / 16, 2.0 * i, 3.0 * i, 30.0] for i in range(0, 30, 3)])
    path = np.array(smoothed(seen, np.arange(28) / 16))
    assert path[:, 0] == pytest.approx(2.0 * np.arange(28))
    assert path[:, 1] == pytest.approx(3.0 * np.arange(28))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_clips_have_a_path_too(count):
    assert len(smoothed(np.array([[0, 5.0, 6.0, 7.0]]), np.arange(count) / 24)) == count


def test_a_running_median_by_hand():
    assert running_median([1, 9, 2, 3, 8], 3) == [5, 2, 3, 3, 5.5]


def medians(scores, fps):
    return half_second_medians(scores, np.arange(len(scores)) / fps)


def test_single_frames_decide_nothing():
    scores = [0.0] * 12 + [9.0] + [0.0] * 12
    assert not any(steady(medians(scores, 10), 1.0))
    scores = [5.0] * 12 + [-9.0] + [5.0] * 12
    assert all(steady(medians(scores, 10), 1.0))


def test_scores_around_the_threshold_do_not_flicker():
    scores = [1.2, 0.8] * 20
    states = steady([*scores, *[0.0] * 10], 1.0)
    assert states == [True] * 40 + [False] * 10


def test_stretches_are_told_in_seconds():
    states = [False, True, True, False, True]
    assert stretches(states, [0, 0.1, 0.2, 0.3, 0.4], 0.5) == [(0.1, 0.3), (0.4, 0.5)]
    assert stretches([False], [0], 0.1) == []


def test_stretches_of_unevenly_timed_frames_have_the_times_of_those_frames():
    states = [False, True, True, False, True]
    assert stretches(states, [0, 0.1, 3.0, 3.5, 10.0], 12.0) == [(0.1, 3.5), (10.0, 12.0)]


def test_medians_look_at_half_a_second_however_many_frames_it_has():
    times = [0, 0.1, 0.2, 5.0, 5.05, 5.1, 5.15, 5.2, 9.0]
    scores = [1, 1, 1, 7, 8, 9, 8, 7, 3]
    assert half_second_medians(scores, times) == [1, 1, 1, 8, 8, 8, 8, 8, 5]


def test_medians_of_very_many_frames_a_second_are_bounded_by_time():
    times = [i / 1000 for i in range(3000)]
    found = half_second_medians([float(i) for i in range(3000)], times)
    assert found[1500] == 1500
    assert found[0] == 125


def test_the_face_is_looked_for_by_time_not_by_number(astronaut):
    shown = walking(astronaut, 6)
    looked = []
    times = [0, 0.01, 0.02, 0.03, 1.0, 2.0]
    face_track(zip(times, shown, strict=True), lambda frame: looked.append(frame) or [])
    assert [any(frame is one for one in looked) for frame in shown] == [True, False, False, False, True, True]


def test_gaps_are_bridged_in_time():
    seen = np.array([[0.0, 0.0, 0.0, 30.0], [4.0, 40.0, 80.0, 30.0]])
    path = np.array(smoothed(seen, [0.0, 1.0, 4.0]))
    assert path[:, 0] == pytest.approx(np.convolve([-10, 0, 10, 40, 70], [0.25, 0.5, 0.25], "valid"), abs=8)
    assert path[1, 0] < 20


def nodding(astronaut, most, count=24):
    """(the frames, how far the face is turned in each, its place): it moves on and turns, there and back."""
    frames, angles, places = [], [], []
    for i in range(count):
        share = i / (count - 1)
        angle = most * np.sin(np.pi * share)
        # What is shown is turned the other way than the window through which it is seen.
        centre = 110 + 12 * np.sin(2 * np.pi * share), 212 + 24 * share
        frames.append(turned(astronaut, centre, (192, 192), -angle))
        angles.append(angle)
        # Where the middle of the face, (110, 225) of the photograph, is in the frame.
        down, right, a = 110 - centre[0], 225 - centre[1], np.radians(-angle)
        places.append((96 + down * np.cos(a) + right * np.sin(a), 96 - down * np.sin(a) + right * np.cos(a)))
    return frames, np.array(angles), np.array(places)


@pytest.mark.parametrize("most", [25.0, -25.0])
def test_the_cut_turns_with_the_face(astronaut, most):
    frames, angles, places = nodding(astronaut, most)
    frames[12] = torch.full_like(frames[12], 0.5)  # one frame shows nothing
    _, boxes = face_track(timed(frames, 12), Cascade())
    found = np.array([box.angle for box in boxes])
    own = -4.0  # she holds her head so in the photograph, by the line of her eyes
    assert np.abs(found - angles - own).max() < 9
    assert np.abs(np.diff(found)).max() < 6, "it does not jerk"
    # The cut's middle lies a little above the face's, along the face.
    middles = np.array([box.centre for box in boxes])
    assert np.abs(middles - places).max() < 14
    sides = [box.side for box in boxes]
    assert max(sides) < 1.2 * min(sides)


def test_a_face_that_hardly_turns_is_cut_upright(astronaut):
    frames, _, _ = nodding(astronaut, 4.0, 12)
    _, boxes = face_track(timed(frames, 6), Cascade())
    assert {box.angle for box in boxes} == {0.0}


@pytest.mark.parametrize("angle", [-20.0, 0.0, 20.0])
def test_how_far_a_face_is_turned(astronaut, angle):
    image = turned(astronaut, (110, 225), (192, 192), -angle)
    face = find_faces(image, aligned=False)[0]
    assert turn_of(image, face) == pytest.approx(angle - 4, abs=5)
    nothing = torch.full((3, 192, 192), 0.5)
    assert turn_of(nothing, replace(face, angle=25.0)) == 25.0, "where nobody can tell"

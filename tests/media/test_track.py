"""A face followed through a clip, and verdicts that do not flicker."""

import numpy as np
import pytest
import torch

from magdr_core.functional import resize
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


def test_the_cut_follows_the_face_smoothly_and_bridges_gaps(astronaut):
    told = []
    boxes = face_track(walking(astronaut), 10, progress=told.append)
    assert told[-1] == len(boxes) == 20
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
    boxes = face_track(frames, 6)
    assert all(box.left + box.side / 2 < 90 for box in boxes)


def test_no_face_gives_no_track():
    assert face_track([torch.full((3, 64, 64), 0.5)] * 4, 25) == []


def test_an_outlier_does_not_bend_the_path():
    seen = np.array([[4 * i, 50.0, 60.0, 30.0] for i in range(6)])
    seen[3, 1:] = (5.0, 150.0, 80.0)
    for row, column, side in smoothed(seen, 24, 6):
        assert (row, column, side) == pytest.approx((50, 60, 30))


def test_a_steady_motion_is_not_delayed():
    seen = np.array([[i, 2.0 * i, 3.0 * i, 30.0] for i in range(0, 30, 3)])
    path = np.array(smoothed(seen, 28, 8))
    assert path[:, 0] == pytest.approx(2.0 * np.arange(28))
    assert path[:, 1] == pytest.approx(3.0 * np.arange(28))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_clips_have_a_path_too(count):
    assert len(smoothed(np.array([[0, 5.0, 6.0, 7.0]]), count, 12)) == count


def test_a_running_median_by_hand():
    assert running_median([1, 9, 2, 3, 8], 3) == [5, 2, 3, 3, 5.5]


def test_single_frames_decide_nothing():
    scores = [0.0] * 12 + [9.0] + [0.0] * 12
    assert not any(steady(half_second_medians(scores, 10), 1.0))
    scores = [5.0] * 12 + [-9.0] + [5.0] * 12
    assert all(steady(half_second_medians(scores, 10), 1.0))


def test_scores_around_the_threshold_do_not_flicker():
    scores = [1.2, 0.8] * 20
    states = steady([*scores, *[0.0] * 10], 1.0)
    assert states == [True] * 40 + [False] * 10


def test_stretches_are_told_in_seconds():
    states = [False, True, True, False, True]
    assert stretches(states, 10) == [(0.1, 0.3), (0.4, 0.5)]
    assert stretches([False], 10) == []

"""Which frames of a fake and its real belong together, where clips are looked for, and what is cut out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magdr_plugins.datasets._clips import clip_names, find_clip, spaced
from magdr_plugins.datasets._crops import face_box, landmark_box, marked, square_around
from magdr_plugins.datasets._pairs import NEAR, partners
from magdr_plugins.datasets._people import beside_test, by_people

from magdr_core.errors import DataError
from tests.plugins.datasets.fake_trees import clip


@pytest.mark.parametrize(
    ("positions", "count", "expected"),
    [
        (range(10), 4, [0, 3, 6, 9]),
        (range(100), 1, [49]),
        ([3, 8], 4, [3, 8]),
        ([3, 8, 9], 3, [3, 8, 9]),
        (range(5), 0, [0, 1, 2, 3, 4]),
        (range(300), 32, np.linspace(0, 299, 32, dtype=int).tolist()),
    ],
)
def test_frames_are_evenly_spaced_from_the_first_to_the_last(positions, count, expected):
    assert spaced(positions, count) == expected


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        (range(4), range(3), {0: 0, 1: 1, 2: 2}),
        ([0, 10, 20], [0, 10 + NEAR, 20 + NEAR + 1], {0: 0, 10: 10 + NEAR}),
        ([4, 6], [5], {4: 5}),
        ([5, 6], [6], {6: 6}),
        ([0], [100], {}),
    ],
)
def test_frames_are_paired_by_number_then_by_nearness_each_once(real, fake, expected):
    assert partners(real, fake) == expected


def test_clips_are_found_in_every_layout_and_frames_come_first(tmp_path):
    clip(tmp_path / "frames" / "a", 0, range(2))
    clip(tmp_path / "b", 0, range(2))
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "videos/c.mp4"):
        (tmp_path / name).touch()
    assert find_clip([tmp_path], "a").path == tmp_path / "frames" / "a"
    assert find_clip([tmp_path], "a", "videos").path == tmp_path / "a.mp4"
    assert find_clip([tmp_path / "no", tmp_path], "b").path == tmp_path / "b"
    assert find_clip([tmp_path], "c").path == tmp_path / "videos" / "c.mp4"
    assert clip_names(tmp_path) == ["a", "c"], "loose folders beside frames/ are none"
    assert clip_names(tmp_path, "images") == ["a"]
    assert clip_names(tmp_path / "frames") == ["a"]
    with pytest.raises(DataError) as caught:
        find_clip([tmp_path], "d", "images")
    assert str(caught.value) == f"{tmp_path}: has no clip d; looked for frames/d, images/d, d"


def test_a_mask_is_grey_above_one_level_whatever_its_channels():
    levels = torch.tensor([[0, 1, 2], [0, 0, 255]])
    mask = levels[None].expand(3, -1, -1).float() / 255
    assert marked(mask).tolist() == [[False, False, True], [False, False, True]]
    green = torch.zeros(3, 1, 2)
    green[1] = torch.tensor([2, 3]) / 255  # .587 of it: 1.17 and 1.76, rounded as 8-bit grey is
    assert marked(green).tolist() == [[False, True]]


def test_a_square_stays_inside_the_frame():
    points = torch.tensor([[0.0, 0.0], [10.0, 4.0]])
    assert square_around(points, 20, 40) == (0, 0, 13, 13)
    assert square_around(points + torch.tensor([30.0, 16.0]), 20, 40) == (27, 7, 40, 20)
    assert square_around(torch.tensor([[0.0, 0.0], [40.0, 20.0]]), 20, 40) == (10, 0, 30, 20)


def test_the_square_of_a_face_is_around_it_and_none_is_made_up(toolkit_from):
    data = toolkit_from('[dataset.x]\nuse = "procedural-faces"\nparams = { size = 96 }\n').build(
        "dataset", "x"
    )
    faces = data.split("test")[list(range(6))].images
    frames = torch.full((6, 3, 150, 260), 0.5)
    frames[:, :, 30:126, 130:226] = faces
    box = face_box(frames).box
    assert box[2] - box[0] == box[3] - box[1]
    assert abs((box[0] + box[2]) / 2 - 178) < 15
    assert abs((box[1] + box[3]) / 2 - 78) < 15
    assert 60 <= box[2] - box[0] <= 130
    assert face_box(torch.full((2, 3, 100, 100), 0.5)) is None


def test_landmarks_of_another_form_are_named(tmp_path):
    clip(tmp_path / "frames" / "a", 0, range(2))
    found = find_clip([tmp_path], "a")
    place = tmp_path / "landmarks" / "a"
    place.mkdir(parents=True)
    for content in (b"", b"\x93NUMPY nonsense", b"text"):
        (place / "0000.npy").write_bytes(content)
        with pytest.raises(DataError, match="is no file of landmarks"):
            landmark_box(found, [0])
    np.save(place / "0000.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(DataError, match="is no file of landmarks"):
        landmark_box(found, [0])
    np.save(place / "0000.npy", np.array([[1.0, np.nan]]))
    with pytest.raises(DataError, match=r"expected finite landmarks \[points, 2\]"):
        landmark_box(found, [0])


class Item:
    def __init__(self, *people):
        self.people = people


def test_people_are_in_one_split_each_and_none_is_empty_while_there_are_enough():
    items = [Item(f"p{i}", f"p{(i + k) % 12}") for i in range(12) for k in (0, 1, 5)]
    shared = by_people(items, "x")
    of = {name: {p for item in some for p in item.people} for name, some in shared.items()}
    assert all(of.values())
    assert sum(map(len, of.values())) == len(set().union(*of.values()))
    three = by_people([Item("a"), Item("b"), Item("c")], "x")
    assert [len(some) for some in three.values()] == [1, 1, 1]


def test_a_listed_calibration_split_is_kept_but_for_test_people():
    test, val, mixed, train, met = (
        Item("a", "b"),
        Item("c", "d"),
        Item("b", "c"),
        Item("e", "f"),
        Item("d", "g"),
    )
    shared = beside_test([test], [val, mixed, test], [test, val, mixed, train, met], "x")
    assert shared == {"train": [train], "calibration": [val], "test": [test]}

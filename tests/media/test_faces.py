"""Finding a face, cutting it out, putting a changed one back."""

import pytest
import skimage.data
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from magdr_core.functional import resize, to_8bit
from magdr_core.media import tiles as pieces
from magdr_core.media.faces import (
    Box,
    cut,
    face_cut,
    paste,
    paste_change,
    placed,
    whole_cut,
)
from magdr_core.media.finding import find_faces, merged

EYES = ((114, 203), (112, 250))  # (row, column) in the astronaut, by eye
CHIN = (182, 228)


def inside(box, point):
    return box.top <= point[0] < box.top + box.side and box.left <= point[1] < box.left + box.side


def test_the_face_of_the_astronaut_is_found_once(astronaut):
    faces = find_faces(astronaut)
    assert len(faces) == 1
    assert all(inside(faces[0], eye) for eye in EYES)
    around = face_cut(faces[0], 512, 512)
    assert inside(around, CHIN)
    assert around.side == pytest.approx(1.6 * faces[0].side, abs=1)
    assert inside(around, (faces[0].top - 10, 228))  # room for the hair


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_a_face_is_found_where_it_is_at_any_scale(astronaut, scale):
    given = find_faces(resize(astronaut[None], scale=scale)[0])[0]
    wanted = find_faces(astronaut)[0]
    for name in ("top", "left", "side"):
        assert getattr(given, name) / scale == pytest.approx(getattr(wanted, name), abs=12)


def test_small_faces_are_found_by_a_second_look(astronaut):
    crowd = torch.full((3, 600, 800), 0.5)
    crowd[:, 200:300, 500:600] = resize(astronaut[None, :, :230, 110:340], 100)[0]
    faces = find_faces(crowd)
    assert len(faces) == 1
    assert inside(faces[0], (250, 550))


def test_the_largest_of_several_faces_comes_first(astronaut):
    person = astronaut[:, :230, 110:340]
    both = torch.full((3, 250, 450), 0.5)
    both[:, 10:200, 10:200] = resize(person[None], 190)[0]
    both[:, 10:240, 210:440] = person
    faces = find_faces(both)
    assert len(faces) == 2
    assert faces[0].left > 210 > faces[1].left
    assert faces[0].side > faces[1].side


def test_nothing_is_found_where_there_is_no_face():
    y, x = torch.meshgrid(torch.linspace(0, 1, 200), torch.linspace(0, 1, 300), indexing="ij")
    assert find_faces(torch.stack([x, y, 1 - x])) == []
    coffee = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1).float() / 255
    assert find_faces(resize(coffee[None], 240)[0]) == []
    assert find_faces(torch.zeros(3, 16, 16)) == []


def test_overlapping_answers_become_their_mean():
    assert merged([Box(10, 10, 20), Box(12, 14, 24), Box(100, 100, 10)]) == [
        Box(11, 12, 22),
        Box(100, 100, 10),
    ]


@pytest.mark.parametrize(
    ("row", "column", "side", "expected"),
    [
        (50, 60, 20, Box(40, 50, 20)),
        (5, 60, 20, Box(0, 50, 20)),
        (95, 118, 20, Box(80, 100, 20)),
        (50, 60, 300, Box(0, 10, 100)),
    ],
)
def test_a_cut_is_moved_or_shrunk_into_the_picture(row, column, side, expected):
    assert placed(row, column, side, 100, 120) == expected


def test_the_whole_cut_is_the_centre_crop_of_aligned_faces():
    assert whole_cut(218, 178) == Box(20, 0, 178)
    assert whole_cut(64, 64) == Box(0, 0, 64)


def test_a_cut_is_antialiased(astronaut):
    stripes = (torch.arange(256) % 2).float().expand(3, 256, 256)
    assert (cut(stripes, Box(0, 0, 256), 32) - 0.5).abs().max() < 0.02
    assert torch.equal(cut(astronaut, Box(5, 7, 64), 64), to_8bit(astronaut[:, 5:69, 7:71]))


def by_change(image, box, face):
    return paste_change(image, box, cut(image, box, 64), face)


@pytest.mark.parametrize("change", [paste, by_change])
def test_only_the_cut_changes_and_its_edge_is_soft(change):
    wall, box = torch.full((3, 200, 240), 0.6), Box(33, 46, 158)
    done = change(wall, box, torch.zeros(3, 64, 64))
    inside_cut = torch.zeros(200, 240, dtype=torch.bool)
    inside_cut[33:191, 46:204] = True
    assert torch.equal(done[:, ~inside_cut], wall[:, ~inside_cut])
    assert done[:, 60:160, 80:170].abs().max() < 0.01
    assert done[0, 110].diff().abs().max() < 0.1, "a hard edge can be seen"
    assert torch.equal(done[:, inside_cut], to_8bit(done[:, inside_cut]))


def test_an_aligned_picture_of_the_right_size_is_replaced_exactly(astronaut):
    small = cut(astronaut, whole_cut(512, 512), 64)
    other = to_8bit(1 - small)
    box = whole_cut(64, 64)
    assert torch.equal(paste(small, box, other), other)
    assert torch.equal(paste_change(small, box, small, other), other)


def test_an_unchanged_cut_leaves_every_bit_of_the_picture(astronaut):
    box = Box(33, 146, 158)
    face = cut(astronaut, box, 64)
    assert torch.equal(paste_change(astronaut, box, face, face.clone()), astronaut)


def test_a_pasted_change_is_seen_again_when_it_is_cut_out(astronaut):
    box = Box(33, 146, 158)
    face = cut(astronaut, box, 64)
    signs = torch.randint(0, 2, face.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = to_8bit(face + 8 / 255 * signs)
    again = cut(paste_change(astronaut, box, face, wanted), box, 64)
    middle = (slice(None), slice(8, -8), slice(8, -8))
    assert (again - wanted)[middle].abs().mean() < 0.5 * (face - wanted)[middle].abs().mean()

    # Detail that the small cut cannot hold stays.
    def detail(image):
        piece = image[None, :, 60:160, 180:280]
        return piece - resize(resize(piece, 25), 100)

    done = paste_change(astronaut, box, face, to_8bit(face + 0.05))
    assert (detail(done) - detail(astronaut)).abs().mean() < 0.1 * detail(astronaut).abs().mean()


def test_a_limit_holds_in_the_written_picture(astronaut):
    box = Box(33, 146, 158)
    face = cut(astronaut, box, 64)
    moved = to_8bit(face + 6 / 255)
    done = paste_change(astronaut, box, face, moved, limit=6 / 255)
    assert 4.9 / 255 < (done - astronaut).abs().max() <= 6 / 255 + 2e-6


# -- large pictures --------------------------------------------------------------------------------------


def treated(image, box, size, limit):
    """Everything that is done to a picture; floating-point results as levels."""
    face = cut(image, box, size)
    after = to_8bit(face + torch.linspace(-0.1, 0.1, size))
    changed = paste_change(image, box, face, after, limit=limit)
    results = face, changed, paste(changed, box, 1 - after)
    return [r if r.dtype == torch.uint8 else (r * 255).round().byte() for r in results]


@pytest.mark.parametrize("limit", [None, 6 / 255])
@pytest.mark.parametrize("box", [Box(3, 5, 300), Box(0, 0, 32), Box(10, 0, 21)])
def test_levels_and_pieces_give_the_same_bits_as_the_whole_picture_in_floating_point(box, limit, monkeypatch):
    levels = torch.randint(0, 256, (3, 320, 400), generator=torch.Generator().manual_seed(0)).byte()
    whole = treated(levels.float() / 255, box, 32, limit)
    monkeypatch.setattr(pieces, "PIECE", 1)
    for expected, found in zip(whole, treated(levels, box, 32, limit), strict=True):
        assert torch.equal(found, expected)


def test_the_same_faces_are_found_in_pieces(astronaut, monkeypatch):
    found = find_faces(astronaut)
    monkeypatch.setattr(pieces, "PIECE", 1)
    assert find_faces((astronaut * 255).round().byte()) == found


class Largest(TorchDispatchMode):
    """The largest floating-point tensor that is made."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.is_floating_point():
            self.most = max(self.most, made.numel())
        return made


def test_no_more_than_one_colour_of_a_large_picture_is_held_in_floating_point(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 2**12)
    side = 1500
    levels = torch.randint(0, 256, (3, side, side), generator=torch.Generator().manual_seed(0)).byte()
    with Largest() as largest:
        find_faces(levels)
        treated(levels, Box(0, 0, side), 32, None)
    assert largest.most <= side * side

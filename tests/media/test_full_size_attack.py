"""Attacks on a picture's own pixels: what is cut out of the written file is disrupted."""

import pytest
import skimage.data
import torch

from magdr_core.components.batch import VectorCondition
from magdr_core.components.objective import symmetric_mse
from magdr_core.components.rng import SampleRng
from magdr_core.functional import jpeg
from magdr_core.inference import full_size_attack
from magdr_core.inference.full_size_attack import ThroughACut, attack_picture, windows_in
from magdr_core.media import Box, cut
from magdr_core.media.pictures import as_jpeg
from magdr_core.toolkit import Toolkit

CPU = torch.device("cpu")
BOX = Box(30, 130, 180)


@pytest.fixture(scope="module")
def kit():
    return Toolkit.from_registry(device="cpu")


@pytest.fixture(scope="module")
def picture():
    return torch.from_numpy(skimage.data.astronaut()[:300]).permute(2, 0, 1).contiguous()


@pytest.fixture(scope="module")
def attacked(kit, picture):
    """`attacked(box, quality)`, by a short PGD on the packaged editor: the picture, and how far a cut of it,
    stored as a JPEG if there is a quality, moves the output from that on the clean picture, stored alike."""
    generator, short = kit.generator("editing"), kit.sibling("attack", "pgd", eps=6 / 255, steps=10)
    c = VectorCondition(
        torch.tensor([[0.0, 1.0, 0, 0, 0]]), torch.tensor([[False, True, False, False, False]])
    )

    def run(box=BOX, quality=None, attack=short):
        rng = SampleRng(0, "attack", ["a"])
        return attack_picture(picture, box, c, attack, generator, CPU, rng=rng, quality=quality)

    def mse(levels, box, quality=None):
        stored = (one if quality is None else as_jpeg(one, quality) for one in (picture, levels))
        y = (generator(cut(image, box, 64)[None], c) for image in stored)
        return float(symmetric_mse(*y))

    return run, mse


@pytest.fixture
def one_look(monkeypatch):
    """A perturbation for one cut of the face alone: several take several times as long."""
    monkeypatch.setattr(full_size_attack, "LOOKS", 0)


def test_it_disrupts_what_is_cut_out_here_and_a_little_beside(attacked, monkeypatch, picture):
    run, mse = attacked
    monkeypatch.setattr(full_size_attack, "LOOKS", 4)
    found = run()
    assert (found.int() - picture.int()).abs().max() == 6
    beside = [Box(33, 128, 180), Box(27, 132, 180), Box(34, 134, 172), Box(26, 126, 188)]
    monkeypatch.setattr(full_size_attack, "LOOKS", 0)
    for_one_cut = run()
    assert mse(found, BOX) > 0.02
    ours, theirs = (sum(mse(levels, box) for box in beside) for levels in (found, for_one_cut))
    assert ours > 1.25 * theirs


class Looks:
    """Stands for an attack: keeps what it is to ascend, and perturbs nothing."""

    objective, learns, limit = None, False, 6 / 255

    def __call__(self, x, objective, *, rng):
        self.aim, self.side = objective, x.shape[-1]
        return x


def test_what_is_ascended_is_what_the_jpeg_that_it_is_made_for_leaves(attacked, one_look):
    run, mse = attacked
    found = run()
    told = []
    for quality in (None, 20):
        looks = Looks()
        run(quality=quality, attack=looks)
        patch = cut(found, full_size_attack.widened(BOX, 300, 512), looks.side)
        told.append(float(looks.aim.evaluate(patch[None])[1]))
    lossless, stored = mse(found, BOX), mse(found, BOX, 20)
    assert stored < 0.5 * lossless
    assert told == [pytest.approx(lossless, rel=0.2), pytest.approx(stored, rel=0.4)]


def test_it_survives_the_jpeg_that_it_was_made_for(attacked, one_look):
    run, mse = attacked
    ours, theirs = (mse(run(quality=quality), BOX, 30) for quality in (30, None))
    assert ours > 1.25 * theirs


def test_a_tilted_face_is_attacked_as_it_stands(attacked, picture):
    run, mse = attacked
    tilted = Box(30, 130, 160, 25.0)
    found = run(tilted)
    moved = (found.int() - picture.int()).abs()
    assert 4 <= moved.max() <= 6
    away = (moved.amax(0).nonzero() + 0.5 - torch.tensor(tilted.centre)).norm(dim=1)
    assert away.max() < 160 / 2**0.5 + 1
    assert mse(found, tilted) > 0.02


def test_a_face_of_the_generators_size_is_attacked_pixel_by_pixel(attacked, picture):
    run, mse = attacked
    small = Box(60, 180, 64)
    found = run(small)
    moved = (found.int() - picture.int()).abs().amax(0)
    outside = torch.ones_like(moved, dtype=torch.bool)
    outside[60:124, 180:244] = False
    assert not moved[outside].any()
    assert mse(found, small) > 0.02
    assert mse(run(small, 40), small, 40) > 2 * mse(found, small, 40), "small faces are stored as JPEG, too"


def test_windows_lie_around_the_cut_and_inside_the_patch():
    wide = full_size_attack.widened(BOX, 300, 512)
    first, *others = windows_in(BOX, wide, 0.5, round(wide.side * 0.5), SampleRng(0, "w", ["a"]))
    assert first == (
        pytest.approx((BOX.top - wide.top) / 2, abs=1),
        pytest.approx((BOX.left - wide.left) / 2, abs=1),
        90,
    )
    assert len({*others}) > 4
    for top, left, side in others:
        assert min(top, left) >= 0
        assert max(top, left) + side <= round(wide.side * 0.5)
        assert abs(side - 90) <= 0.05 * 90 + 1


def test_the_gradient_goes_through_storing_and_shrinking():
    patch = torch.full((1, 3, 64, 64), 0.5)
    edge = torch.ones(64, 64)
    edge[:, :8] = 0
    x = patch.clone().requires_grad_(True)
    ThroughACut(patch, edge, (0, 0, 64), 16, 90)(x).square().sum().backward()
    assert x.grad[:, :, :, 16:].abs().mean() > 0
    assert not x.grad[:, :, :, :8].any()
    shown = ThroughACut(patch, edge, (0, 0, 64), 16)(patch)
    assert torch.equal(shown, (shown * 255).round() / 255)


def test_blocks_of_a_jpeg_are_counted_from_the_corner_of_the_picture(picture):
    top, left = 37, 90
    patch = picture[None, :, top : top + 64, left : left + 64] / 255
    window = (0, 0, 64)
    whole = jpeg(picture[None] / 255, 40)[:, :, top : top + 64, left : left + 64]

    def wrong(corner):
        shown = ThroughACut(patch, torch.ones(64, 64), window, 64, 40, corner)(patch)
        return int((shown - whole).abs().gt(1e-6)[..., 16:48, 16:48].sum())

    assert wrong((top, left)) == 0
    assert wrong((0, 0)) > 1000

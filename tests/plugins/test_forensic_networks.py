"""Networks of forensic models, untrained: their shapes, what they look at, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch
from magdr_plugins.attacks._pixel_blur import PixelBlur
from magdr_plugins.forensics._networks import FrequencyNet, PlainNet, cosines
from magdr_plugins.forensics._recovery import RecoveryNet, bands, in_pixels, patches
from magdr_plugins.forensics._segmenter import FaceBox, Recovered, Segmenter

from magdr_core.components.rng import SampleRng
from magdr_core.errors import ComponentError
from magdr_core.functional import merge_classes, part_index, pixelwise_blur, to_8bit
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

COUNT = 5


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    text = '[dataset.faces]\nuse = "procedural-faces"\n'
    kit = Toolkit(parse_registry(text, tmp_path_factory.mktemp("faces") / "faces.toml"), device="cpu")
    return kit.build("dataset", "faces").split("test")[range(COUNT)]


@pytest.fixture(scope="module")
def parts(faces):
    return merge_classes(faces.masks)


class Known:
    """A parser that knows the masks of these pictures, by their pixels."""

    def __init__(self, images, parts):
        self.images, self.parts = images, parts

    def __call__(self, x):
        distance = (x[:, None] - self.images[None]).abs().flatten(2).mean(2)
        return self.parts[distance.argmin(1)]


@pytest.fixture(scope="module")
def parser(faces, parts):
    return Known(faces.images, parts)


def seeded(make):
    torch.manual_seed(0)
    return make().eval()


@pytest.fixture(scope="module")
def nets(parser):
    recovery = seeded(lambda: RecoveryNet(parser=parser))
    return {
        "plain": seeded(PlainNet),
        "plain with instance norms": seeded(lambda: PlainNet(norm="instance")),
        "frequency": seeded(FrequencyNet),
        "recovery": recovery,
        "segmenter": seeded(Segmenter),
        "segmenter with a box": seeded(lambda: Segmenter(guide=FaceBox(parser))),
        "segmenter with recovery": seeded(lambda: Segmenter(guide=Recovered(parser, recovery))),
    }


NAMES = [
    *("plain", "plain with instance norms", "frequency", "recovery"),
    *("segmenter", "segmenter with a box", "segmenter with recovery"),
]
LOCATING = ["recovery", "segmenter", "segmenter with a box", "segmenter with recovery"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_take_less_than_a_megabyte_in_half_precision(nets, name):
    assert 2 * sum(t.numel() for t in nets[name].state_dict().values()) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_picture_scores_the_same_in_any_batch(nets, name, faces):
    scores = nets[name].score(faces.images)
    assert scores.shape == (COUNT,)
    assert len(scores.unique()) == COUNT
    assert torch.equal(torch.cat([nets[name].score(faces.images[[i]]) for i in range(COUNT)]), scores)
    assert torch.equal(nets[name].score(faces.images.flip(0)).flip(0), scores)


@pytest.mark.parametrize("name", LOCATING)
@torch.no_grad()
def test_what_is_located_is_a_map_in_the_unit_range(nets, name, faces):
    found = nets[name].locate(faces.images)
    assert found.shape == (COUNT, 1, 64, 64)
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(nets[name].locate(faces.images[[3]]), found[[3]])


@pytest.mark.parametrize("name", ["plain", "frequency", "segmenter"])
def test_scores_have_gradients_and_pictures_may_have_any_size(nets, name):
    x = torch.rand(2, 3, 37, 50, requires_grad=True)
    (gradient,) = torch.autograd.grad(nets[name].score(x).sum(), x)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()
    if name == "segmenter":
        assert nets[name].locate(x).shape == (2, 1, 37, 50)


def test_the_cosine_transform_is_scipy_s():
    x = torch.rand(9, 7, generator=torch.Generator().manual_seed(0)).double()
    found = cosines(9, x) @ x @ cosines(7, x).T
    assert np.abs(found.numpy() - scipy.fft.dctn(x.numpy(), norm="ortho")).max() < 1e-9


@torch.no_grad()
def test_bands_with_masks_of_nothing_are_the_picture_taken_apart():
    net = seeded(FrequencyNet)
    net.masks.zero_()
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    low, middle, high, every = net.decomposed(x).split(3, 1)
    assert torch.allclose(every, 2 * x - 1, atol=1e-5)
    assert torch.allclose(low + middle + high, every, atol=1e-5)
    smooth = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    low, middle, high, every = net.decomposed(smooth).split(3, 1)
    assert high.abs().max() < 0.01 * every.abs().max()


@torch.no_grad()
def test_learned_masks_add_up_to_one_to_the_weight_of_any_frequency():
    net = seeded(FrequencyNet)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    net.masks.zero_()
    low = net.decomposed(x)[:, :3]
    for value, added in ((30.0, 1.0), (-30.0, -1.0)):
        net.masks.fill_(value)
        assert torch.allclose(net.decomposed(x)[:, :3], low + added * (2 * x - 1), atol=1e-4)


def test_bands_are_where_the_parts_are(parts):
    found = bands(parts)
    assert found.sum(1).max() <= 1, "disjoint"
    for k, name in enumerate(("eyes", "nose", "mouth")):
        share = (parts[:, [part_index(name)]] * found).sum((2, 3))
        assert (share.argmax(1) == k).all()
    assert bands(torch.zeros(1, 12, 64, 64)).sum() == 0


def test_a_training_mask_hides_three_quarters_of_one_band(parts):
    rng = SampleRng(0, "mask", [str(i) for i in range(COUNT)])
    drawn = [RecoveryNet.draw_mask(parts, rng) for _ in range(8)]
    owned = patches(parts)
    seen = set()
    for mask in drawn:
        cells = mask[..., ::8, ::8].bool()
        assert torch.equal(in_pixels(cells, parts), mask)
        for face in range(COUNT):
            inside = (cells[face] & owned[face]).flatten(1).sum(1)
            assert (inside > 0).sum() == 1
            band = int(inside.argmax())
            assert inside[band] == np.ceil(0.75 * int(owned[face, band].sum()))
            assert cells[face].sum() == inside[band]
            seen.add(band)
    assert seen == {0, 1, 2}


def test_six_passes_hide_every_patch_of_the_face_once(parts):
    passes = RecoveryNet.passes(parts)
    assert len(passes) == 6
    assert torch.equal(sum(passes), in_pixels(patches(parts).any(1, keepdim=True), parts))
    for mask in passes:
        cells = mask[..., ::8, ::8]
        assert (cells[..., :, 1:] * cells[..., :, :-1]).sum() == 0, "neighbours are seen"


@torch.no_grad()
def test_recovery_does_not_look_behind_the_mask(nets, faces, parts):
    mask = RecoveryNet.passes(parts)[2]
    painted = torch.where(mask > 0, 0.3, faces.images)
    first, second = (nets["recovery"](x, mask) for x in (faces.images, painted))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    shown = torch.where(mask > 0, faces.images, 0.3)
    assert not torch.equal(nets["recovery"](shown, mask)[0], first[0])


@torch.no_grad()
def test_what_is_not_masked_is_the_picture_itself(nets, faces, parts):
    made, expected, where = nets["recovery"].recovered(faces.images, parts)
    assert torch.equal(made * (1 - where), faces.images * (1 - where))
    assert (expected[where == 0] == 1).all()
    assert where.unique().tolist() == [0, 1]


@torch.no_grad()
def test_nothing_is_located_where_nothing_was_recovered(nets, faces, parts):
    found, where = nets["recovery"].locate(faces.images), nets["recovery"].recovered(faces.images, parts)[2]
    assert (found[where == 0] == 0).all()
    assert (found[where > 0] > 0).all()


@torch.no_grad()
def test_surprise_is_the_error_in_units_of_what_was_expected(nets, faces, parts):
    net = nets["recovery"]
    made, expected, where = net.recovered(faces.images, parts)
    error = where * (faces.images - made).square().mean(1, keepdim=True) / expected
    wanted = error.sum((1, 2, 3)) / where.sum((1, 2, 3))
    assert torch.allclose(net.score(faces.images), wanted, rtol=1e-4)


def test_recovery_without_a_parser_cannot_score(faces):
    with pytest.raises(ComponentError, match="parser"):
        RecoveryNet(width=8).score(faces.images)


@torch.no_grad()
def test_a_picture_without_a_face_is_no_surprise():
    net = seeded(lambda: RecoveryNet(width=8, parser=lambda x: torch.zeros(len(x), 12, *x.shape[2:])))
    x = torch.rand(2, 3, 32, 32)
    assert net.score(x).tolist() == [0, 0]
    assert net.locate(x).sum() == 0


def test_the_face_box_spans_the_face():
    parts = torch.zeros(2, 12, 16, 16)
    parts[0, part_index("skin"), 4:9, 5] = 1
    parts[0, part_index("mouth"), 11, 9] = 1
    expected = torch.zeros(16, 16)
    expected[4:12, 5:10] = 1
    box = FaceBox(lambda x: parts)(torch.zeros(2, 3, 16, 16))
    assert torch.equal(box[0, 0], expected)
    assert box[1].sum() == 0


def test_what_a_segmenter_is_shown_changes_what_it_says_and_not_its_weights(nets, faces):
    plain, boxed = nets["segmenter"], nets["segmenter with a box"]
    assert plain.guide(faces.images) is None
    assert set(nets["segmenter with recovery"].state_dict()) == set(plain.state_dict())
    with torch.no_grad():
        guide = boxed.guide(faces.images)
        assert not torch.equal(boxed(faces.images, guide)[0], boxed(faces.images, 0 * guide)[0])


class Smoothness:
    """High where neighbours are alike."""

    def __call__(self, x):
        return -(x[..., 1:] - x[..., :-1]).square().mean((1, 2, 3))

    def evaluate(self, x):
        with torch.no_grad():
            loss = self(x)
        return loss, loss, torch.ones(len(x), dtype=torch.bool)


def test_blur_is_searched_for_until_the_objective_is_higher(faces):
    objective = Smoothness()
    y = PixelBlur(steps=10)(faces.images, objective)
    assert torch.equal(y, to_8bit(y))
    least = pixelwise_blur(faces.images, torch.ones_like(faces.images[:, :1]))
    before, after, most = objective(faces.images), objective(y), objective(least)
    assert ((after - before) > 0.7 * (most - before)).all()


def test_blur_that_may_be_next_to_nothing_changes_nothing(faces):
    assert torch.equal(PixelBlur(s_min=1e3, steps=2)(faces.images, Smoothness()), faces.images)


def test_a_picture_on_which_no_blur_helps_stays_as_it_was(faces):
    class Sameness(Smoothness):
        def __call__(self, x):
            return -(x - faces.images).square().mean((1, 2, 3))

    assert torch.equal(PixelBlur(steps=3)(faces.images, Sameness()), faces.images)

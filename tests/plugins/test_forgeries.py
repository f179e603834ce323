"""Forgery families as functions: what is pasted, which pixels count as forged, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
from magdr_plugins.forgeries._blur import blur_each, high_pass
from magdr_plugins.forgeries._colour import colour_moments, matched
from magdr_plugins.forgeries._generated import Generated
from magdr_plugins.forgeries._local import Inpainted, Warped, diffused
from magdr_plugins.forgeries._paste import Innocent, paste
from magdr_plugins.forgeries._regions import FACE, aligning, moments, moved, parts_of, root2, times2
from magdr_plugins.forgeries._rerender import Rerendered
from magdr_plugins.forgeries._self_blend import SelfBlended
from magdr_plugins.forgeries._sharpness import SharpnessMatched, detail
from magdr_plugins.forgeries._swap import Splice, Swap

from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError
from magdr_core.functional import join_parts, to_8bit
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

REGISTRY = """
[dataset.faces]
use = "procedural-faces"
[dataset.person]
use = "procedural-faces"
params = { identity = "A" }
[generator.editing]
use = "stargan"
[generator.reenactment]
use = "ganimation"
[generator.replacement]
use = "cyclegan"
"""
COUNT = 5


class World:
    """Faces of the test split, of everybody and of one person, with donors and families."""

    def __init__(self, path):
        kit = Toolkit(parse_registry(REGISTRY, path / "world.toml"), device="cpu")
        self.faces = kit.build("dataset", "faces").split("test")
        self.person = kit.build("dataset", "person").split("test")
        self.donors = self.faces[range(50, 50 + COUNT)]
        self.families = {
            "editing": Generated(kit.generator("editing"), visible=True),
            "reenactment": Generated(kit.generator("reenactment")),
            "replacement": Generated(kit.generator("replacement")),
            "swap": Swap(),
            "self-blended": SelfBlended(),
            "splice": Splice(),
            "inpainted": Inpainted(),
            "warped": Warped(),
            "edited": Rerendered(self.faces, "edited"),
            "reenacted": Rerendered(self.faces, "reenacted"),
            "replaced": Rerendered(self.person, "replaced"),
        }
        self.batches = {"everybody": self.faces[range(COUNT)], "person": self.person[range(COUNT)]}

    def batch(self, name):
        return self.batches["person" if name in ("replacement", "replaced") else "everybody"]

    def forge(self, name, rows=slice(None), family=None):
        batch = self.batch(name)[rows]
        family = family or self.families[name]
        return family(batch, self.donors[rows], SampleRng(0, name, batch.ids))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


NAMES = [
    *("editing", "reenactment", "replacement", "swap", "self-blended", "splice", "inpainted", "warped"),
    *("edited", "reenacted", "replaced"),
]
RERENDERED = ("edited", "reenacted", "replaced")


@pytest.mark.parametrize("name", NAMES)
def test_forged_pictures_are_8_bit_and_differ_inside_their_masks(world, name):
    images, masks, alpha = world.forge(name)
    source = world.batch(name).images
    assert torch.equal(images, to_8bit(images))
    assert images.shape == source.shape
    assert masks.shape == (COUNT, 1, *source.shape[2:])
    assert masks.unique().tolist() == [0, 1]
    assert torch.equal(images * (alpha == 0), source * (alpha == 0))
    assert (alpha[masks > 0] > 0).all()
    assert (masks.flatten(1).sum(1) > 0).all(), "something is forged in every picture"
    change = (images - source).abs().mean(1, keepdim=True)
    inside, outside = ((change * m).sum() / m.sum() for m in (masks, 1 - masks))
    assert outside < inside / 10
    assert outside < 2 / 255


@pytest.mark.parametrize("name", NAMES)
def test_a_forged_picture_is_the_same_in_any_batch(world, name):
    images, masks, _ = world.forge(name)
    for rows in ([2], [4, 1]):
        some, theirs, _ = world.forge(name, rows)
        assert torch.equal(some, images[rows])
        assert torch.equal(theirs, masks[rows])


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("replacement", "replaced")])
def test_what_is_forged_is_drawn_by_the_picture_s_own_stream(world, name):
    batch, family = world.batch(name), world.families[name]
    first = family(batch, world.donors, SampleRng(0, name, batch.ids)).images
    again = family(batch, world.donors, SampleRng(1, name, batch.ids)).images
    assert not torch.equal(first, again)


@pytest.mark.parametrize("name", NAMES)
def test_the_pipeline_without_a_forgery_counts_as_real(world, name):
    batch = world.batch(name)
    images, masks, _ = world.families[name].innocent(batch, SampleRng(0, name, batch.ids))
    assert masks.shape == (COUNT, 1, 64, 64)
    assert masks.sum() == 0
    assert torch.equal(images, to_8bit(images))
    kept, forged = (
        (images - batch.images).abs().mean(),
        (world.forge(name).images - batch.images).abs().mean(),
    )
    assert kept < 0.75 * forged


@pytest.mark.parametrize("name", ["editing", "reenactment", "swap", "self-blended", "splice", "warped"])
def test_the_pipeline_without_a_forgery_leaves_its_own_traces(world, name):
    batch = world.batch(name)
    images = world.families[name].innocent(batch, SampleRng(0, name, batch.ids)).images
    assert (images - batch.images).abs().flatten(1).amax(1).min() > 1.5 / 255


@pytest.mark.parametrize("name", ["reenactment", "swap", "self-blended", "splice", "inpainted"])
def test_pictures_matched_in_sharpness_have_the_detail_of_their_source_inside_the_mask(world, name):
    plain = world.forge(name)
    sharp = world.forge(name, family=SharpnessMatched(family=world.families[name]))
    wanted = detail(world.batch(name).images, plain.masks)
    assert torch.equal(sharp.masks, plain.masks)
    assert torch.equal(sharp.images * (1 - plain.masks), plain.images * (1 - plain.masks))
    assert torch.equal(sharp.images, to_8bit(sharp.images))
    before, after = ((detail(f.images, plain.masks) / wanted).median() for f in (plain, sharp))
    assert before < 0.8
    assert after == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", RERENDERED)
def test_the_masks_of_the_renderer_are_exact(world, name):
    images, masks, _ = world.forge(name)
    assert torch.equal(masks.bool(), (images != world.batch(name).images).any(1, keepdim=True))


def test_the_renderer_draws_the_same_scenes_wherever_their_split_begins(world):
    assert torch.equal(world.forge("replaced").images, world.person.replaced(list(range(COUNT))))


def test_a_dataset_that_cannot_draw_is_refused():
    with pytest.raises(DataError, match="cannot be replaced exactly"):
        Rerendered([], "replaced")


def test_pictures_without_face_masks_are_refused(world):
    batch = Batch(world.donors.images, world.donors.ids)
    with pytest.raises(DataError, match="face masks"):
        Swap()(batch, batch, SampleRng(0, "x", batch.ids))


def test_an_editor_pastes_glasses_where_no_glasses_were(world):
    """The face is without glasses, so that no part of it is called so."""
    batch = world.faces[range(40)]
    family = world.families["editing"]
    rng = SampleRng(0, "editing", batch.ids)
    c = family.generator.draw(batch, rng.fork(1))
    names = family.generator.condition_names
    added = (c.changed & (c.values > 0.5))[:, names.index("Eyeglasses")]
    assert added.any()
    masks = family(batch, batch, rng).masks[added]
    alone = Generated(family.generator)(batch, batch, SampleRng(0, "editing", batch.ids)).masks[added]
    assert masks.sum() > 1.3 * alone.sum()


def test_paste_marks_what_changed_where_alpha_is_above_one_half():
    source = torch.full((1, 3, 9, 9), 100 / 255)
    content = source.clone()
    content[0, 1, 2, 2] = 200 / 255  # in the region
    content[0, 0, 2, 6] = 101 / 255  # one level: no change
    content[0, 2, 7, 7] = 200 / 255  # where alpha is low
    alpha = torch.ones(1, 1, 9, 9)
    alpha[..., 5:, :] = 0.4
    images, masks, _ = paste(source, content, alpha)
    expected = torch.zeros(9, 9)
    expected[1:4, 1:4] = 1
    assert torch.equal(masks[0, 0], expected)
    assert images[0, 1, 2, 2] == 200 / 255
    assert images[0, 2, 7, 7] * 255 == pytest.approx(140)


def test_paste_at_half_strength_moves_the_picture_and_not_the_mask():
    source, content = torch.zeros(2, 3, 6, 6), torch.full((2, 3, 6, 6), 200 / 255)
    images, masks, _ = paste(source, content, torch.ones(2, 1, 6, 6), torch.tensor([1.0, 0.5]))
    assert (images[:, 0, 0, 0] * 255).tolist() == pytest.approx([200, 100])
    assert masks.all()


def test_a_forgery_that_nobody_sees_is_where_it_was_pasted():
    source = torch.zeros(2, 3, 8, 8)
    alpha = torch.zeros(2, 1, 8, 8)
    alpha[0, 0, 2:4, 2:4] = 1
    alpha[1, 0, 5, 5] = 0.3  # nowhere above one half
    masks = paste(source, source, alpha).masks
    assert torch.equal(masks, (alpha > 0).float())


@pytest.mark.parametrize(
    "name", ["editing", "reenactment", "swap", "self-blended", "splice", "inpainted", "warped"]
)
def test_a_picture_without_a_face_or_of_one_colour_still_gets_a_mask(world, name):
    faces, donors = world.faces[range(2)], world.donors[[0, 1]]
    nobody = torch.zeros_like(faces.masks)
    nobody[:, 0] = 1
    known = {k: v for k, v in faces.annotations.items() if k != "masks"}
    for images, masks in ((faces.images, nobody), (torch.zeros_like(faces.images), faces.masks)):
        batch = Batch(images, faces.ids, annotations={**known, "masks": masks})
        made = world.families[name](
            batch, Batch(images, donors.ids, masks=masks), SampleRng(0, name, batch.ids)
        )
        assert made.images.isfinite().all()
        assert (made.masks.flatten(1).sum(1) > 0).all()


def test_an_innocent_family_is_the_pipeline_without_the_forgery(world):
    batch, family = world.faces[range(2)], world.families["swap"]
    made = Innocent(family=family)(batch, batch[[]], SampleRng(0, "swap", batch.ids))
    assert torch.equal(made.images, family.innocent(batch, SampleRng(0, "swap", batch.ids)).images)


@pytest.mark.parametrize("name", ["swap", "splice"])
def test_another_face_is_brought_to_the_colours_of_the_picture(world, name):
    """Blue donors, who else would stay blue."""
    batch, donors = world.faces[range(10)], world.faces[range(40, 50)]
    blue = donors.images * torch.tensor([0.3, 0.5, 1.0])[:, None, None]
    known = dict(donors.annotations)
    made = world.families[name](
        batch, Batch(blue, donors.ids, annotations=known), SampleRng(0, name, batch.ids)
    )
    (forged, _), (own, _) = (colour_moments(x, made.masks) for x in (made.images, batch.images))
    (theirs, _) = colour_moments(blue, torch.ones_like(made.masks))

    def blueness(mean):
        return (mean[:, 2] - mean[:, 0]).mean()

    assert blueness(forged) < blueness(own) + 0.6 * (blueness(theirs) - blueness(own))


def test_self_blended_faces_have_other_colours_and_are_sharper_or_softer(world):
    batch = world.faces[range(24)]
    made = SelfBlended()(batch, batch, SampleRng(0, "s", batch.ids))
    kept = SelfBlended().innocent(batch, SampleRng(0, "s", batch.ids)).images
    (forged, _), (own, _), (same, _) = (
        colour_moments(x, made.masks) for x in (made.images, batch.images, kept)
    )
    assert (forged - own).abs().mean() > 5 * (same - own).abs().mean()
    ratio = detail(made.images, made.masks) / detail(batch.images, made.masks)
    innocent = detail(kept, made.masks) / detail(batch.images, made.masks)
    assert (ratio > 1.1 * innocent.max()).any()
    assert (ratio < 0.8 * innocent.min()).any()


def test_self_blended_faces_cover_what_is_under_them_to_a_drawn_extent(world):
    batch = world.faces[range(24)]
    black = torch.zeros_like(batch.images)
    images = SelfBlended()._pasted(batch, black, SampleRng(0, "s", batch.ids)).images
    left = (images / batch.images.clamp_min(0.1)).flatten(1).amin(1)
    found = {round(4 * float(v)) for v in left}
    assert found == {0, 1, 2}, "of the face below nothing, a quarter or a half is left"


def test_inpainting_is_by_diffusion_or_by_smoothing(world):
    batch = world.faces[range(24)]
    made = Inpainted()(batch, batch, SampleRng(0, "i", batch.ids))
    inner = 1 - torch.nn.functional.max_pool2d(1 - made.masks, 5, 1, 2)
    left = (detail(made.images, inner) / detail(batch.images, inner).clamp_min(1e-9))[
        inner.sum((1, 2, 3)) > 0
    ]
    assert (left < 0.002).any()
    assert (left > 0.01).any()


def test_warping_is_affine_or_elastic(world, monkeypatch):
    """Without the elastic field the elastic ones stay as they were."""
    monkeypatch.setattr(
        "magdr_plugins.forgeries._local.smooth_field", lambda x, amount, rng: x.new_zeros(*x[:, 0].shape, 2)
    )
    batch = world.faces[range(24)]
    images = Warped()(batch, batch, SampleRng(0, "w", batch.ids)).images
    still = (images == batch.images).flatten(1).all(1).float().mean()
    assert 0.2 < still < 0.8


def test_paste_keeps_the_source_to_the_last_bit_where_alpha_is_nothing():
    draw = torch.Generator().manual_seed(0)
    source = torch.randint(0, 256, (1, 3, 16, 16), generator=draw) / 255
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., :8] = 1
    images, _, _ = paste(source, torch.rand(1, 3, 16, 16, generator=draw), alpha)
    assert torch.equal(images[..., 8:], source[..., 8:])


def test_each_picture_is_blurred_by_its_own_sigma():
    x = torch.rand(3, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    y = blur_each(x, torch.tensor([0.0, 0.8, 2.0]), widest=2.0)
    assert torch.allclose(y[0], x[0])
    for i, sigma in ((1, 0.8), (2, 2.0)):
        expected = scipy.ndimage.gaussian_filter(x[i, 0].double().numpy(), sigma, mode="nearest", radius=6)
        assert np.abs(y[i, 0].numpy() - expected).max() < 1e-5


def test_the_high_pass_is_what_a_binomial_blur_takes_out():
    x = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = x[0, 0] - torch.from_numpy(
        scipy.ndimage.convolve(x[0, 0].double().numpy(), kernel, mode="nearest")
    )
    assert torch.allclose(high_pass(x)[0, 0].double(), expected, atol=1e-6)


def test_moments_of_a_region_are_numpy_s():
    region = torch.rand(2, 1, 12, 15, generator=torch.Generator().manual_seed(0))
    found = moments(region)
    y, x = np.mgrid[:12, :15]
    for i in range(2):
        w = region[i, 0].double().numpy()
        places = np.stack([x.ravel(), y.ravel()])
        assert found.mean[i].numpy() == pytest.approx(np.average(places, axis=1, weights=w.ravel()), abs=1e-4)
        expected = np.cov(places, aweights=w.ravel(), ddof=0) + 0.25 * np.eye(2)
        assert found.spread[i].numpy() == pytest.approx(expected, rel=1e-4)


def test_an_empty_region_lies_in_the_middle():
    found = moments(torch.zeros(1, 1, 10, 20))
    assert found.mean[0].tolist() == [9.5, 4.5]


def test_the_matrix_root_is_scipy_s():
    m = torch.tensor([[[5.0, 1.5], [1.5, 2.0]], [[1.0, 0.0], [0.0, 9.0]]])
    for one, root in zip(m, root2(m), strict=True):
        assert root.numpy() == pytest.approx(scipy.linalg.sqrtm(one.numpy()), abs=1e-5)


def test_alignment_takes_one_region_s_moments_to_the_other_s(world):
    face, other = (join_parts(parts_of(b), FACE) for b in (world.faces[range(COUNT)], world.donors))
    target, donor = moments(face), moments(other)
    by = aligning(target, donor)
    spread = times2(times2(by.matrix, target.spread), by.matrix.mT)
    assert torch.allclose(spread, donor.spread, atol=2e-3)
    laid = moved(other, by)
    overlap = torch.minimum(laid, face).sum((1, 2, 3)) / torch.maximum(laid, face).sum((1, 2, 3))
    apart = torch.minimum(other, face).sum((1, 2, 3)) / torch.maximum(other, face).sum((1, 2, 3))
    assert overlap.min() > 0.7
    assert overlap.mean() > apart.mean() + 0.03


def test_an_affine_map_and_its_inverse_undo_each_other(world):
    face, other = (join_parts(parts_of(b), FACE) for b in (world.faces[range(COUNT)], world.donors))
    by = aligning(moments(face), moments(other))
    there_and_back = moved(moved(face, by.inverse()), by)
    assert (there_and_back - face).abs().mean() < 0.02


def test_matched_colours_have_the_mean_and_spread_of_the_source_in_the_region():
    draw = torch.Generator().manual_seed(0)
    source = 0.4 + 0.1 * torch.rand(2, 3, 16, 16, generator=draw)
    content = 0.5 + 0.15 * torch.rand(2, 3, 16, 16, generator=draw)
    region = torch.zeros(2, 1, 16, 16)
    region[..., 4:12, 3:9] = 1
    half = matched(content, source, region, torch.tensor([1.0, 0.5]))
    whole = matched(content, source, region)
    for found, wanted in zip(colour_moments(whole, region), colour_moments(source, region), strict=True):
        assert torch.allclose(found, wanted, atol=1e-4)
    assert torch.allclose(half[0], whole[0])
    assert torch.allclose(half[1], (content[1] + whole[1]) / 2, atol=1e-6)


def test_diffusion_fills_a_hole_with_the_harmonic_function_of_its_border():
    """A ramp is harmonic: it comes back."""
    ramp = torch.linspace(0.2, 0.8, 24).expand(1, 3, 24, 24).clone()
    hole = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    hole[..., 9:14, 8:14] = True
    broken = torch.where(hole, 0.0, ramp)
    assert (diffused(broken, hole) - ramp).abs().max() < 0.01


def test_a_splice_takes_every_part_and_leaves_out_what_a_face_does_not_show(world):
    batch, donors = world.faces[range(40)], world.faces[range(40, 80)]
    areas = Splice()(batch, donors, SampleRng(0, "splice", batch.ids)).masks.mean((1, 2, 3))
    assert 0.02 < areas.mean() < 0.1
    eyeless = donors.masks.clone()
    eyeless[:, 1] += eyeless[:, 2:6].sum(1)
    eyeless[:, 2:6] = 0
    blind = Batch(donors.images, donors.ids, masks=eyeless)
    masks = Splice()(batch, blind, SampleRng(0, "splice", batch.ids)).masks
    eyes = join_parts(parts_of(batch), ("eyes",))
    seen = Splice()(batch, donors, SampleRng(0, "splice", batch.ids)).masks
    assert (masks * eyes).sum() < 0.5 * (seen * eyes).sum(), "only patches of skin still reach an eye"


def test_forgeries_scale_with_the_picture(tmp_path):
    text = '[dataset.large]\nuse = "procedural-faces"\nparams = { size = 128 }\n'
    kit = Toolkit(parse_registry(text, tmp_path / "large.toml"), device="cpu")
    split = kit.build("dataset", "large").split("test")
    batch, donors = split[range(3)], split[range(50, 53)]
    for name, family in (("swap", Swap()), ("inpainted", Inpainted()), ("warped", Warped())):
        images, masks, _ = family(batch, donors, SampleRng(0, name, batch.ids))
        assert torch.equal(images, to_8bit(images))
        assert 0.01 < masks.mean() < 0.5

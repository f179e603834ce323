"""The renderer of procedural faces: exact masks, reproducible pictures, edits that stay where they belong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.datasets.faces import (
    ACTION_UNITS,
    ATTRIBUTES,
    CLASSES,
    FaceParameters,
    edited,
    render,
    sample_parameters,
    with_action_units,
    with_identity,
)
from torch import Tensor

from magdr_core.components.rng import SampleRng

HAIR = ATTRIBUTES[:4]
SWITCHES = ATTRIBUTES[4:]

# Where an edit may show. Smiles and open mouths move cheeks, folds and the chin, and with the chin what is
# behind it; all other edits change parts of their own.
FACE = ("skin", "nose", "mouth", "u_lip", "l_lip", "l_eye", "r_eye", "neck", "eye_g")
REGIONS: dict[str, tuple[str, ...]] = {
    "Smiling": FACE,
    "Mouth_Slightly_Open": (*FACE, "hair", "cloth"),
    "Eyeglasses": ("eye_g",),
    "Wearing_Hat": ("hat", "hair", "skin", "l_brow", "r_brow"),
    "Mustache": ("skin", "nose", "u_lip", "l_lip"),
    "Wearing_Earrings": ("ear_r",),
    "Wearing_Necklace": ("neck_l",),
    "Bangs": ("hair", "skin", "l_brow", "r_brow", "eye_g"),
    "Pale_Skin": ("skin", "nose", "neck", "l_ear", "r_ear", "u_lip", "l_lip", "l_eye", "r_eye"),
    **dict.fromkeys(HAIR, ("hair",)),
}


def faces(n: int = 12, seed: int = 1, **kwargs: float) -> FaceParameters:
    return sample_parameters(SampleRng(seed, "test", [f"{i}" for i in range(n)]), **kwargs)


def flipped(params: FaceParameters, name: str) -> Tensor:
    """The attributes of `params` with one switched, hair colours to the named one."""
    wanted, i = params.attributes(), ATTRIBUTES.index(name)
    if name in HAIR:
        wanted[:, : len(HAIR)] = 0.0
        wanted[:, i] = 1.0
    else:
        wanted[:, i] = 1.0 - wanted[:, i]
    return wanted


def region(masks: Tensor, names: tuple[str, ...]) -> Tensor:
    """`[B,H,W]`: where any of the classes can be seen."""
    return masks[:, [CLASSES.index(n) for n in names]].sum(1)


def grown(mask: Tensor) -> Tensor:
    """A mask widened by two pixels: the camera's blur carries edges that far."""
    return F.max_pool2d((mask > 1e-6).float()[:, None], 5, 1, 2)[:, 0]


@pytest.fixture(scope="module")
def params() -> FaceParameters:
    return faces()


@pytest.fixture(scope="module")
def drawn(params: FaceParameters) -> tuple[Tensor, Tensor]:
    return render(params, 64)


def test_class_order_is_that_of_the_face_parser() -> None:
    order = (
        "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck"
        " neck_l cloth hair hat"
    )
    assert " ".join(CLASSES) == order


@pytest.mark.parametrize("size", [32, 64, 96])
def test_images_and_masks_have_the_promised_ranges(size: int) -> None:
    images, masks = render(faces(20, seed=2), size)
    assert images.shape == (20, 3, size, size)
    assert masks.shape == (20, 19, size, size)
    assert images.dtype == masks.dtype == torch.float32
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1
    assert masks.min() >= 0
    assert masks.max() <= 1
    torch.testing.assert_close(masks.sum(1), torch.ones(20, size, size), atol=1e-5, rtol=0)


def test_face_is_the_same_alone_and_in_any_batch(
    params: FaceParameters, drawn: tuple[Tensor, Tensor]
) -> None:
    for i in (0, 5, 11):
        image, mask = render(params.select(torch.tensor([i])), 64)
        assert torch.equal(image[0], drawn[0][i])
        assert torch.equal(mask[0], drawn[1][i])


def test_sampling_does_not_depend_on_the_batch(drawn: tuple[Tensor, Tensor]) -> None:
    alone = sample_parameters(SampleRng(1, "test", ["7"]))
    assert torch.equal(render(alone, 64)[0][0], drawn[0][7])


def test_rendering_is_deterministic_and_leaves_the_global_generator_alone(
    drawn: tuple[Tensor, Tensor],
) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = render(faces(), 64)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again[0], drawn[0])
    assert torch.equal(again[1], drawn[1])


def test_sampling_leaves_the_given_streams_where_they_were() -> None:
    rng, untouched = SampleRng(1, "a", ["x"]), SampleRng(1, "a", ["x"])
    sample_parameters(rng)
    assert torch.equal(rng.bits(4), untouched.bits(4))


def test_faces_differ_from_each_other(drawn: tuple[Tensor, Tensor]) -> None:
    images = drawn[0].flatten(1)
    distance = torch.cdist(images, images) / images.shape[1] ** 0.5
    assert distance[~torch.eye(len(images), dtype=torch.bool)].min() > 0.1


def test_identity_streams_drive_the_person_and_nothing_else() -> None:
    ids = ["0", "1", "2"]
    person = SampleRng(5, "person", ids)
    one = sample_parameters(SampleRng(1, "a", ids), person)
    two = sample_parameters(SampleRng(2, "b", ids), person)
    assert torch.equal(one.identity.head, two.identity.head)
    assert torch.equal(one.identity.hair.noise, two.identity.hair.noise)
    assert not torch.equal(one.pose.yaw, two.pose.yaw)


def test_with_identity_takes_the_person_and_keeps_the_scene(params: FaceParameters) -> None:
    other = faces(seed=8)
    swapped = with_identity(params, other)
    assert torch.equal(swapped.identity.tone, other.identity.tone)
    assert torch.equal(swapped.action_units, params.action_units)
    image, masks = render(swapped, 64)
    before, masks_before = render(params, 64)
    behind = ((masks[:, 0] == 1) & (masks_before[:, 0] == 1)).float()
    behind = 1.0 - grown(1.0 - behind)
    assert ((image - before).abs().mean(1) * behind).max() < 1e-6
    assert (image - before).abs().mean() > 0.02


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_edit_reaches_exactly_the_attributes_that_were_asked_for(name: str) -> None:
    many = faces(60, seed=4)
    wanted = flipped(many, name)
    assert torch.equal(edited(many, wanted).attributes(), wanted)


def test_edit_to_the_present_attributes_changes_nothing(
    params: FaceParameters, drawn: tuple[Tensor, Tensor]
) -> None:
    assert torch.equal(render(edited(params, params.attributes()), 64)[0], drawn[0])


def with_value(params: FaceParameters, name: str, value: float) -> FaceParameters:
    wanted = params.attributes()
    wanted[:, ATTRIBUTES.index(name)] = value
    return edited(params, wanted)


def test_added_glasses_can_be_taken_off_again(params: FaceParameters) -> None:
    bare = with_value(params, "Eyeglasses", 0.0)
    back = with_value(with_value(bare, "Eyeglasses", 1.0), "Eyeglasses", 0.0)
    assert torch.equal(render(back, 64)[0], render(bare, 64)[0])


def test_what_an_edit_adds_has_one_form() -> None:
    """Were it drawn per face, the right result could not be told from the picture."""
    many = faces(40, seed=8)

    def added(name: str) -> tuple[FaceParameters, Tensor]:
        absent = many.attributes()[:, ATTRIBUTES.index(name)] == 0
        return with_value(many, name, 1.0), absent

    for name, units in (("Smiling", ("AU12", "AU06")), ("Mouth_Slightly_Open", ("AU25", "AU26"))):
        after, absent = added(name)
        values = after.action_units[absent][:, [ACTION_UNITS.index(u) for u in units]]
        assert torch.equal(values, values[:1].expand_as(values))
    after, absent = added("Eyeglasses")
    shapes = after.accessories.glasses_shape[absent]
    assert torch.equal(shapes, shapes[:1].expand_as(shapes))


@pytest.mark.parametrize("name", ["Wearing_Hat", "Bangs", "Pale_Skin", "Mustache"])
def test_edit_can_be_undone(name: str, params: FaceParameters, drawn: tuple[Tensor, Tensor]) -> None:
    there = edited(params, flipped(params, name))
    back = edited(there, params.attributes())
    assert torch.equal(render(back, 64)[0], drawn[0])


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_edit_changes_its_region_strongly_and_the_rest_hardly(
    name: str, params: FaceParameters, drawn: tuple[Tensor, Tensor]
) -> None:
    image, masks = render(edited(params, flipped(params, name)), 64)
    change = (image - drawn[0]).abs().mean(1)
    allowed = grown(region(masks, REGIONS[name]) + region(drawn[1], REGIONS[name]))
    assert (change * (1.0 - allowed)).max() < 1e-5
    changed_faces = flipped(params, name).ne(params.attributes()).any(1)
    assert (change[changed_faces].amax((1, 2)) > 0.03).float().mean() > 0.8


@pytest.mark.parametrize(
    ("name", "part"),
    [("Eyeglasses", "eye_g"), ("Wearing_Hat", "hat"), ("Wearing_Necklace", "neck_l")],
)
def test_mask_of_an_accessory_exists_exactly_when_it_is_worn(name: str, part: str) -> None:
    many = faces(60, seed=6)
    area = render(many, 64)[1][:, CLASSES.index(part)].sum((1, 2))
    worn = many.attributes()[:, ATTRIBUTES.index(name)] > 0.5
    assert (area[~worn] == 0).all()
    assert area[worn].median() > 5


def test_every_action_unit_moves_pixels_of_the_face() -> None:
    # Without bangs, glasses and hat, which may hide what moves.
    bare = faces(3, seed=12)
    off = bare.attributes()
    for name in ("Eyeglasses", "Wearing_Hat", "Bangs", "Mustache"):
        off[:, ATTRIBUTES.index(name)] = 0.0
    bare = edited(bare, off)
    neutral, masks = render(with_action_units(bare, torch.zeros(3, 17)), 64)
    for i, name in enumerate(ACTION_UNITS):
        units = torch.zeros(3, 17)
        units[:, i] = 1.0
        image, after = render(with_action_units(bare, units), 64)
        change = (image - neutral).abs().mean(1)
        assert (change > 0.02).sum((1, 2)).min() >= 4, name
        outside = 1.0 - grown(region(masks + after, (*FACE, "l_brow", "r_brow", "hair", "cloth")))
        assert (change * outside).max() < 1e-5, name


def test_action_units_and_attributes_agree() -> None:
    many = faces(4)
    units = torch.zeros(4, 17)
    units[1:, ACTION_UNITS.index("AU12")] = 0.9
    units[2:, ACTION_UNITS.index("AU25")] = 0.8
    attributes = with_action_units(many, units).attributes()
    assert attributes[:, ATTRIBUTES.index("Smiling")].tolist() == [0, 1, 1, 1]
    assert attributes[:, ATTRIBUTES.index("Mouth_Slightly_Open")].tolist() == [0, 0, 1, 1]


def test_sizes_show_the_same_face(params: FaceParameters, drawn: tuple[Tensor, Tensor]) -> None:
    images, masks = render(params, 128)
    difference = float((F.avg_pool2d(images, 2) - drawn[0]).abs().mean())
    # Counted twice, where a class is missing and where another one is instead.
    misplaced = float((F.avg_pool2d(masks, 2) - drawn[1]).abs().sum(1).mean()) / 2.0
    assert difference < 0.01
    assert misplaced < 0.01


def test_attribute_frequencies_are_as_documented() -> None:
    share = dict(zip(ATTRIBUTES, faces(500, seed=3).attributes().mean(0).tolist(), strict=True))
    expected = {
        "Black_Hair": 0.3, "Brown_Hair": 0.3, "Blond_Hair": 0.27, "Gray_Hair": 0.13, "Smiling": 0.5,
        "Eyeglasses": 0.35, "Wearing_Hat": 0.15, "Mouth_Slightly_Open": 0.35,
    }  # fmt: skip
    for name, chance in expected.items():
        assert share[name] == pytest.approx(chance, abs=0.07), name
    assert all(0.1 < share[name] < 0.6 for name in SWITCHES)
    assert sum(share[name] for name in HAIR) == pytest.approx(1.0)


def test_hair_colours_can_be_told_apart_by_their_pixels() -> None:
    many = faces(40, seed=9)
    mean = {}
    for name in HAIR:
        image, masks = render(edited(many, flipped(many, name)), 64)
        weight = masks[:, CLASSES.index("hair")][:, None]
        mean[name] = (image * weight).sum((2, 3)) / weight.sum((2, 3))
    luminance = {name: colour.mean(1) for name, colour in mean.items()}
    yellow = {name: colour[:, 0] - colour[:, 2] for name, colour in mean.items()}
    assert (luminance["Black_Hair"] < luminance["Brown_Hair"]).all()
    assert luminance["Black_Hair"].max() < luminance["Blond_Hair"].min()
    assert yellow["Gray_Hair"].max() < yellow["Blond_Hair"].min()


def test_hair_stays_visible_under_hats() -> None:
    many = faces(60, seed=10)
    wanted = many.attributes()
    wanted[:, ATTRIBUTES.index("Wearing_Hat")] = 1.0
    area = render(edited(many, wanted), 64)[1][:, CLASSES.index("hair")].sum((1, 2))
    assert (area > 12).float().mean() > 0.95


def test_face_parts_are_large_enough_for_a_parser() -> None:
    masks = render(faces(60, seed=11), 64)[1]
    area = dict(zip(CLASSES, masks.sum((2, 3)).median(0).values.tolist(), strict=True))
    for name, least in {"l_eye": 13, "r_eye": 13, "l_brow": 9, "r_brow": 9, "nose": 35, "skin": 300}.items():
        assert area[name] > least, name
    mouth = masks[:, [CLASSES.index(n) for n in ("mouth", "u_lip", "l_lip")]].sum((1, 2, 3))
    assert mouth.median() > 25


def test_grain_argument_scales_the_sensor_noise_only() -> None:
    still, noisy = render(faces(grain=0.0), 64)[0], render(faces(grain=5.0), 64)[0]
    deviation = (noisy - still).std((1, 2, 3))
    assert deviation.max() < 5 * 0.004 * 1.05
    assert deviation.min() > 0
    assert (noisy - still).mean().abs() < 1e-3


@pytest.mark.cuda
def test_device_draws_the_same_faces(params: FaceParameters, drawn: tuple[Tensor, Tensor]) -> None:
    images, masks = render(params.to("cuda"), 64)
    assert (images.cpu() - drawn[0]).abs().mean() < 1e-4
    assert (masks.cpu() - drawn[1]).abs().mean() < 1e-4

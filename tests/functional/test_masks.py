from __future__ import annotations

import pytest
import torch

from magdr_core.functional import (
    CLASSES,
    PARTS,
    area,
    join_parts,
    masked_mean,
    merge_classes,
    part_index,
    resize_masks,
)


def _soft_masks(batch, number, height, width, seed=0):
    logits = torch.randn(batch, number, height, width, generator=torch.Generator().manual_seed(seed))
    return (4 * logits).softmax(1)


@pytest.mark.parametrize(
    ("name", "index"),
    [("background", 0), ("skin", 1), ("eye_g", 6), ("ear_r", 9), ("nose", 10), ("mouth", 11), ("hair", 17)],
)
def test_classes_are_in_the_order_of_the_public_parser(name, index):
    assert len(CLASSES) == 19
    assert CLASSES[index] == name


@pytest.mark.parametrize(
    ("part", "classes"),
    [
        ("background", ["background"]),
        ("skin", ["skin"]),
        ("brows", ["l_brow", "r_brow"]),
        ("eyes", ["l_eye", "r_eye"]),
        ("glasses", ["eye_g"]),
        ("ears", ["l_ear", "r_ear", "ear_r"]),
        ("nose", ["nose"]),
        ("mouth", ["mouth", "u_lip", "l_lip"]),
        ("neck", ["neck", "neck_l"]),
        ("cloth", ["cloth"]),
        ("hair", ["hair"]),
        ("hat", ["hat"]),
    ],
)
def test_merge_classes_adds_the_classes_of_each_part(part, classes):
    one_hot = torch.eye(19).reshape(19, 19, 1, 1)
    chosen = {CLASSES[i] for i in merge_classes(one_hot)[:, part_index(part), 0, 0].nonzero().flatten()}
    assert chosen == set(classes)


def test_merged_masks_still_sum_to_one():
    merged = merge_classes(_soft_masks(2, 19, 7, 5))
    assert merged.shape == (2, len(PARTS), 7, 5)
    assert torch.allclose(merged.sum(1), torch.ones(2, 7, 5))


def test_masked_mean_on_a_hand_computed_image():
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [5.0, 6.0]]]])  # channel means 2 3 4 5
    masks = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.25]], [[1.0, 1.0], [1.0, 1.0]]]])
    expected = [2.0, (0.5 * 2 + 0.25 * 5) / 0.75, 3.5]
    assert masked_mean(values, masks)[0].tolist() == pytest.approx(expected)


def test_masked_mean_of_an_empty_mask_is_zero_with_finite_gradient():
    values = torch.rand(1, 3, 4, 4).requires_grad_()
    masks = torch.zeros(1, 2, 4, 4)
    masks[:, 1] = 1
    means = masked_mean(values, masks)
    assert means[0, 0] == 0
    (gradient,) = torch.autograd.grad(means.sum(), values)
    assert torch.allclose(gradient, torch.full_like(gradient, 1 / 48))


def test_area_is_the_covered_fraction():
    masks = torch.zeros(2, 3, 4, 5)
    masks[0, 1, :2] = 1
    masks[1, 2] = 0.25
    expected = torch.tensor([[0, 0.5, 0], [0, 0, 0.25]])
    assert torch.allclose(area(masks), expected)


@pytest.mark.parametrize("size", [(8, 10), (32, 40), (5, 33), (16, 20)])
def test_resized_masks_sum_to_one(size):
    resized = resize_masks(_soft_masks(2, 12, 16, 20), size)
    assert resized.shape == (2, 12, *size)
    assert torch.allclose(resized.sum(1), torch.ones(2, *size), atol=1e-6)
    assert resized.min() >= 0


def test_shrinking_masks_averages_areas():
    masks = _soft_masks(1, 3, 4, 6)
    expected = masks.reshape(1, 3, 2, 2, 3, 2).mean((3, 5))
    assert torch.allclose(resize_masks(masks, (2, 3)), expected, atol=1e-6)


def test_resized_masks_of_the_same_size_are_unchanged():
    masks = _soft_masks(1, 12, 9, 7)
    assert torch.allclose(resize_masks(masks, (9, 7)), masks, atol=1e-6)


def test_wrong_mask_arguments_are_refused():
    with pytest.raises(ValueError, match="unknown part 'ear'; parts are background, skin"):
        part_index("ear")
    with pytest.raises(ValueError, match="19 channels"):
        merge_classes(torch.zeros(1, 12, 4, 4))
    with pytest.raises(ValueError, match="agree in batch and size"):
        masked_mean(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 5))
    with pytest.raises(ValueError, match="agree in batch and size"):
        masked_mean(torch.zeros(2, 3, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="at least 1x1"):
        resize_masks(torch.zeros(1, 2, 4, 4), (0, 4))


def test_parts_are_joined_by_name():
    parts = _soft_masks(2, len(PARTS), 5, 4)
    one, two = part_index("eyes"), part_index("mouth")
    assert torch.equal(join_parts(parts, ["mouth"]), parts[:, two : two + 1])
    assert torch.allclose(join_parts(parts, ("eyes", "mouth"))[:, 0], parts[:, one] + parts[:, two])
    assert join_parts(parts, PARTS).max() <= 1
    with pytest.raises(ValueError, match="moth"):
        join_parts(parts, ["moth"])

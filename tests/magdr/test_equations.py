"""Eq. 4 to 9 on cases small enough to compute by hand."""

import math

import pytest
import torch

from magdr_core.magdr import equations


def l1(a, b, masks):
    return ((a - b).abs().mean(1, keepdim=True) * masks).sum((2, 3)) / masks.sum((2, 3))


def constant(value):
    return torch.full((1, 3, 2, 2), value)


def test_eq4_divides_the_difference_of_masked_images_by_the_region_size():
    a, b = constant(0.0), constant(1.0)
    # Region 0 covers one pixel of four, region 1 covers the others.
    first = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    masks = torch.stack([first, 1 - first])[None]
    d = equations.region_differences([l1], a, b, masks)
    # D(M*a, M*b) is the mean over all four pixels: 1/4 and 3/4; S is 1 and 3.
    assert d.shape == (1, 2, 1)
    assert d.flatten().tolist() == pytest.approx([0.25 / 1, 0.75 / 3])


def test_eq4_with_soft_masks_scales_each_pixel_before_comparing():
    a, b = constant(0.0), constant(1.0)
    masks = torch.full((1, 2, 2, 2), 0.5)
    d = equations.region_differences([l1], a, b, masks)
    assert d.flatten().tolist() == pytest.approx([0.5 / 2, 0.5 / 2])


def test_eq4_gives_zero_for_an_absent_region():
    masks = torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])[None]
    d = equations.region_differences([l1], constant(0.0), constant(1.0), masks)
    assert d[0, 1, 0] == 0


def test_eq5_one_criterion_that_exceeds_the_target_is_a_vote():
    d = torch.tensor([[[0.1, 0.9], [0.3, 0.1], [0.2, 0.2], [0.9, 0.9]]])
    d_c = torch.tensor([[0.3, 0.5]])
    others = torch.tensor([[True, True, True, False]])
    # Region 0: second criterion larger. Region 1: first equal (>= 0). Region 2: none. Region 3: not counted.
    assert equations.votes(d, d_c, others).tolist() == [[True, True, False, False]]


def test_eq6_sums_weighted_sigmoids_over_the_other_regions():
    d = torch.tensor([[[0.0, math.log(3)], [math.log(3), 0.0], [5.0, 5.0]]])
    others = torch.tensor([[True, True, False]])
    # sigmoid(0) = 1/2, sigmoid(log 3) = 3/4
    uniform = equations.distortion_score(d, others)
    assert uniform.item() == pytest.approx((0.5 + 0.75) / 2 * 2)
    weighted = equations.distortion_score(d, others, torch.tensor([0.8, 0.2]))
    assert weighted.item() == pytest.approx(0.8 * 0.5 + 0.2 * 0.75 + 0.8 * 0.75 + 0.2 * 0.5)


def test_eq7_is_the_standard_deviation_over_the_processings():
    d_k = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]]])
    mu, sigma = equations.consistency(d_k)
    assert mu.flatten().tolist() == pytest.approx([3.0, 2.0])
    assert sigma.flatten().tolist() == pytest.approx([math.sqrt(8 / 3), math.sqrt(8)])


def test_eq8_compares_outputs_over_the_whole_image():
    assert equations.reconstruction_error(l1, constant(0.25), constant(0.75)).item() == pytest.approx(0.5)


def test_eq9_weights_the_distortion():
    s = equations.final_score(torch.tensor([2.0]), torch.tensor([0.5]), 0.25)
    assert s.item() == pytest.approx(1.0)

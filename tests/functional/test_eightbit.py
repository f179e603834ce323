from __future__ import annotations

import pytest
import torch

from magdr_core.functional import project_linf, round_toward, straight_through, to_8bit


def _all_levels():
    return torch.arange(256).float() / 255


def test_to_8bit_keeps_every_level_to_the_last_bit():
    assert torch.equal(to_8bit(_all_levels()), _all_levels())


def test_to_8bit_rounds_and_clamps():
    x = torch.tensor([-0.3, 0.4 / 255, 0.6 / 255, 100.49 / 255, 1.7])
    assert torch.equal(to_8bit(x) * 255, torch.tensor([0.0, 0.0, 1.0, 100.0, 255.0]))


def test_straight_through_has_the_hard_value_and_the_soft_gradient():
    soft = torch.rand(4, 3, 5, 7).requires_grad_()
    hard = to_8bit(soft)
    out = straight_through(hard, soft)
    assert torch.equal(out, hard)
    weights = torch.rand(soft.shape)
    (gradient,) = torch.autograd.grad((out * weights).sum(), soft)
    assert torch.equal(gradient, weights)


def test_straight_through_sends_no_gradient_to_hard():
    hard = torch.rand(3).requires_grad_()
    assert not straight_through(hard, torch.rand(3)).requires_grad


def test_round_toward_never_passes_the_pixel_and_never_leaves_the_ball():
    generator = torch.Generator().manual_seed(0)
    anchor = torch.randint(0, 256, (8, 3, 31, 17), generator=generator).float() / 255
    for eps in (0.01, 0.025, 6 / 255, 0.05, 8 / 255):
        noise = (2 * torch.rand(anchor.shape, generator=generator) - 1) * eps
        x = (anchor + noise).clamp(0, 1)
        rounded = round_toward(x, anchor)
        moved, wanted = (rounded - anchor).double(), (x - anchor).double()
        assert torch.equal(rounded, to_8bit(rounded))
        assert (moved.abs() <= wanted.abs() + 2e-6).all()
        assert (moved * wanted >= 0).all()
        assert ((wanted - moved).abs() < 1 / 255 + 1e-6).all()
        assert moved.abs().max() <= eps + 2e-6


@pytest.mark.parametrize("fuzz", [-1e-6, 0.0, 1e-6])
@pytest.mark.parametrize("levels", [-6, -1, 1, 6])
def test_round_toward_keeps_whole_levels_despite_float_noise(levels, fuzz):
    anchor = _all_levels()[6:-6]
    x = anchor + levels / 255 + fuzz
    assert torch.equal(torch.round((round_toward(x, anchor) - anchor) * 255), torch.full_like(x, levels))


def test_round_toward_does_not_let_a_fraction_of_a_level_through():
    anchor = torch.tensor([100.0, 100.0, 100.0, 100.0]) / 255
    x = anchor + torch.tensor([0.99, -0.99, 6.375, -6.375]) / 255
    assert torch.equal(torch.round(round_toward(x, anchor) * 255), torch.tensor([100.0, 100.0, 106.0, 94.0]))


def test_project_linf_clamps_to_the_ball_and_to_the_range():
    centre = torch.tensor([[0.0, 0.5, 1.0]])
    x = torch.tensor([[-1.0, 0.9, 0.97]])
    assert torch.allclose(project_linf(x, centre, 0.1), torch.tensor([[0.0, 0.6, 0.97]]))
    assert torch.equal(project_linf(x, centre, 0.0), centre)


def test_project_linf_takes_one_eps_per_image():
    centre = torch.full((2, 3, 4, 5), 0.5)
    out = project_linf(torch.ones_like(centre), centre, torch.tensor([0.1, 0.2]))
    assert torch.allclose(out[0], torch.tensor(0.6))
    assert torch.allclose(out[1], torch.tensor(0.7))


def test_wrong_eightbit_arguments_are_refused():
    x, y = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5)
    for call in (
        lambda: straight_through(x, y),
        lambda: round_toward(x, y),
        lambda: project_linf(x, y, 0.1),
    ):
        with pytest.raises(ValueError, match="same shape"):
            call()
    with pytest.raises(ValueError, match="not negative"):
        project_linf(x, x, -0.1)
    with pytest.raises(ValueError, match="eps must be a number"):
        project_linf(x, x, torch.zeros(1, 1))

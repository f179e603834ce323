"""Disruption at a structural similarity: the bound that scikit-image finds, and what it is better than."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks import pgd_ssim
from magdr_plugins.attacks._bounded_steps import of_ssim, under
from magdr_plugins.attacks.pgd_ssim import SsimPGD, hiding
from skimage.metrics import structural_similarity

from magdr_core.functional import to_8bit
from tests.plugins.disruptor_case import aim, check_repeatable_and_per_image, faces, picky, rng_of, run

SIDE = 32
directions = pytest.mark.parametrize("direction", ["gradient", "sign"])


def ssims(x, x_hat):
    """Of each image (the usual SSIM, the mean of its whole map), in double precision."""
    for a, b in zip(x.double().permute(0, 2, 3, 1), x_hat.double().permute(0, 2, 3, 1), strict=True):
        value, whole = structural_similarity(
            a.numpy(),
            b.numpy(),
            channel_axis=-1,
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=1.0,
            full=True,
        )
        yield value, float(whole.mean())


def half_textured(batch=3):
    """Faces whose right half has grain."""
    x = faces(batch, side=SIDE)
    grain = 0.15 * torch.randn(batch, 3, SIDE, SIDE // 2, generator=torch.Generator().manual_seed(1))
    x[..., SIDE // 2 :] += grain
    return to_8bit(x.clamp(0.02, 0.98))


@directions
@pytest.mark.parametrize("least", [0.8, 0.95, 0.99])
def test_images_have_the_ssim_that_is_asked_for_and_hardly_more(least, direction):
    x = half_textured()
    x_hat = run(SsimPGD(ssim=least, steps=6, direction=direction), x)
    assert torch.equal((x_hat * 255).round() / 255, x_hat)
    found = [min(both) for both in ssims(x, x_hat)]
    assert min(found) >= least - 1e-6
    assert max(found) <= least + 0.02 * (1 - least) + 5e-4  # the coarser the levels the further from it


@directions
def test_disruption_is_more_than_noise_makes_at_the_same_ssim(direction):
    x = half_textured()
    x_hat = run(SsimPGD(ssim=0.95, steps=30, direction=direction), x, generator=picky())
    grain = rng_of(len(x)).sign(*x.shape[1:])
    noisy = under(of_ssim(0.95), x, grain, lambda delta: (x + hiding(x) * delta).clamp(0, 1))[0]
    assert min(min(both) for both in ssims(x, noisy)) < 0.951, "noise fills the bound too"
    assert (aim(x, generator=picky())(x_hat) > 1.5 * aim(x, generator=picky())(noisy)).all()


def test_what_is_changed_hides_in_texture_and_so_disrupts_more(monkeypatch):
    x = half_textured()
    attack = SsimPGD(ssim=0.95, steps=20)
    hidden = run(attack, x, generator=picky())
    monkeypatch.setattr(pgd_ssim, "hiding", torch.ones_like)
    plain = run(attack, x, generator=picky())
    moved = (hidden - x).abs()
    assert float(moved[..., SIDE // 2 :].mean()) > 2 * float(moved[..., : SIDE // 2].mean())
    assert (aim(x, generator=picky())(hidden) > 1.5 * aim(x, generator=picky())(plain)).all()


def test_a_unit_of_what_hides_costs_as_much_ssim_in_texture_as_elsewhere():
    x = half_textured(8)
    grain = rng_of(8).sign(*x.shape[1:])
    costs = []
    for half in (slice(0, SIDE // 2 - 8), slice(SIDE // 2 + 8, SIDE)):
        delta = torch.zeros_like(x)
        delta[..., half] = 0.1 * (hiding(x) * grain)[..., half]
        costs.append(sum(1 - whole for _, whole in ssims(x, x + delta)))
    assert costs[1] == pytest.approx(costs[0], rel=0.35)
    level = hiding(x)
    assert float(level[..., SIDE // 2 + 8 :].mean()) > 2 * float(level[..., : SIDE // 2 - 8].mean())
    flat = torch.full((1, 3, 8, 8), 0.7)
    assert hiding(flat).flatten().tolist() == pytest.approx([0.03] * 192, abs=1e-4)


@directions
def test_a_disruptor_under_an_ssim_is_repeatable_and_per_image(direction):
    check_repeatable_and_per_image(SsimPGD(ssim=0.9, steps=4, direction=direction), faces())


def test_an_ssim_of_one_leaves_the_picture_as_it_is():
    x = half_textured(2)
    assert torch.equal(run(SsimPGD(ssim=1.0, steps=2), x), x)


def test_no_bound_lets_pixels_go_anywhere():
    x = half_textured(2)
    assert float((run(SsimPGD(ssim=0.0, steps=6), x) - x).abs().max()) > 0.5

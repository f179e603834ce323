"""Disruption blurred region by region: as rough as the picture, and what a purifier leaves of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from magdr_plugins.attacks._region_blur import BINS, log_spectrum, region_blur
from magdr_plugins.attacks.blur_guard import BlurGuard
from magdr_plugins.attacks.pgd import PGD
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from magdr_core.functional import gaussian_blur
from magdr_core.testing.toys import ToyParser
from tests.plugins.disruptor_case import aim, check_inside, check_repeatable_and_per_image, faces, noise, run

EPS = 8 / 255


def guard(**options):
    return BlurGuard(parser=ToyParser(), **{"eps": EPS, "steps": 12, "adapt": 40, **options})


def test_each_region_is_blurred_by_its_own_width():
    delta = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, 2, 24, 24)
    masks[:, 0, :, :12], masks[:, 1, :, 12:] = 1, 1
    found = region_blur(delta, masks, torch.tensor([[math.log(0.8), math.log(2.0)]]))
    for half, sigma in ((slice(8, 10), 0.8), (slice(12, 14), 2.0)):
        theirs = np.stack([gaussian_filter(c, sigma, truncate=9) for c in delta[0].double().numpy()])
        assert np.abs(found[0, :, 10:14, half].numpy() - theirs[:, 10:14, half]).max() < 0.02


def test_a_blur_of_no_width_and_no_entry_larger_than_before():
    delta = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    masks = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    masks = masks / masks.sum(1, keepdim=True)
    assert torch.allclose(region_blur(delta, masks, torch.full((2, 4), math.log(0.05))), delta, atol=1e-5)
    assert float(region_blur(delta, masks, torch.zeros(2, 4)).abs().max()) <= 1 + 1e-6


def test_the_spectrum_is_the_mean_energy_of_the_cosines_of_each_ring():
    x = faces(2)
    energy = (dctn(x.double().numpy(), axes=(2, 3), norm="ortho") ** 2).mean(1)
    share = np.arange(16) / 16
    radius = np.sqrt((share[:, None] ** 2 + share[None] ** 2) / 2)
    found = log_spectrum(x)
    for ring in range(BINS):
        inside = (radius * BINS).astype(int).clip(max=BINS - 1) == ring
        if inside.any():
            expected = np.log(energy[:, inside].mean(1) + 1e-6)
            assert np.abs(found[:, ring].numpy() - expected).max() < 1e-2


def test_the_attacked_picture_is_hardly_rougher_than_the_clean_one():
    x = faces()
    ours, plain = run(guard(), x), run(PGD(eps=EPS, steps=12), x)
    rougher = [(log_spectrum(one) - log_spectrum(x)).abs().mean(1) for one in (ours, plain)]
    assert (rougher[0] < 0.6 * rougher[1]).all()


def test_more_of_it_than_of_pgd_is_left_by_a_blur():
    x = faces()
    ours, plain = run(guard(), x), run(PGD(eps=EPS, steps=12), x)

    def through(one):
        return aim(x).preprocessed(lambda z: gaussian_blur(z, 1.0))(one)

    gained = [through(one) / aim(x)(one) for one in (ours, plain)]
    assert (gained[0] > gained[1]).all()


def test_it_disrupts_more_than_noise_that_is_blurred_alike():
    x = faces()
    smooth = gaussian_blur((noise(x, EPS) - x) / 2 + 0.5, 1.0) * 2 - 1
    smooth = smooth * EPS / smooth.abs().flatten(1).amax(1)[:, None, None, None]
    assert (aim(x)(run(guard(steps=30), x)) > aim(x)((x + smooth).clamp(0, 1))).all()


def test_widths_stay_as_they_are_where_nothing_adapts():
    x = faces()
    rough = run(guard(adapt=0), x)
    fine = run(guard(adapt=40), x)
    assert (log_spectrum(rough)[:, -4:].sum(1) > log_spectrum(fine)[:, -4:].sum(1)).all()


@pytest.mark.parametrize("eps", [0.0, 0.025, 1.0])
def test_it_stays_in_its_ball(eps):
    x = faces()
    check_inside(run(guard(eps=eps, steps=3, adapt=3), x), x, eps)


def test_it_is_repeatable_and_per_image():
    check_repeatable_and_per_image(guard(steps=3, adapt=3), faces())

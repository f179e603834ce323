"""Disruption at a PSNR, in RGB and in Lab: bounds, strength, and what the published settings reach."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks._bounded_steps import of_psnr, under
from magdr_plugins.attacks.lab import Lab
from magdr_plugins.attacks.pgd_psnr import PsnrPGD
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from magdr_core.functional import from_lab, to_lab
from tests.plugins.disruptor_case import aim, check_repeatable_and_per_image, faces, picky, rng_of, run

ATTACKS = {
    "rgb": lambda **k: PsnrPGD(**k),
    "rgb-sign": lambda **k: PsnrPGD(direction="sign", **k),
    "lab-gradient": lambda **k: Lab(ascent="gradient", limit=110, **k),
    "lab-sign": lambda **k: Lab(ascent="sign", limit=110, **k),
}
every = pytest.mark.parametrize("name", ATTACKS)


def psnr(x, x_hat):
    pairs = zip(x.double().numpy(), x_hat.double().numpy(), strict=True)
    return [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs]


def in_lab(x):
    return torch.tensor(rgb2lab(x.double().permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2)


@every
@pytest.mark.parametrize("least", [34.0, 40.0, 46.0])
def test_images_have_the_psnr_that_is_asked_for_and_hardly_more(name, least):
    x = faces()
    x_hat = run(ATTACKS[name](psnr=least, steps=6), x)
    assert torch.equal((x_hat * 255).round() / 255, x_hat)
    found = psnr(x, x_hat)
    assert min(found) >= least - 1e-6
    assert max(found) <= least + 0.6  # the coarser the levels the further from it


@every
def test_disruption_is_more_than_noise_makes_at_the_same_psnr(name):
    x = faces()
    x_hat = run(ATTACKS[name](psnr=36.0, steps=30), x, generator=picky())
    colour, there, back = torch.tensor([1.0, 1.0, 1.0]), torch.clone, torch.clone
    if name.startswith("lab"):
        colour, there, back = torch.tensor([0.0, 1.0, 1.0]), to_lab, from_lab
    grain = 20 * colour[:, None, None] * rng_of(len(x)).sign(*x.shape[1:])
    noisy = under(of_psnr(36.0), x, grain, lambda delta: back(there(x) + delta).clamp(0, 1))[0]
    assert min(psnr(x, noisy)) < 36.3, "noise fills the bound too"
    assert (aim(x, generator=picky())(x_hat) > 1.5 * aim(x, generator=picky())(noisy)).all()


@every
def test_a_disruptor_under_a_psnr_is_repeatable_and_per_image(name):
    check_repeatable_and_per_image(ATTACKS[name](psnr=38.0, steps=4), faces())


def test_what_is_shrunk_to_its_psnr_fills_it_whatever_the_others_of_its_batch_do():
    x = faces(3)
    delta = torch.stack([torch.full_like(x[0], s) for s in (0.0, 0.008, 0.2)])
    seen, shrunk = under(of_psnr(40.0), x, delta, lambda d: (x + d).clamp(0, 1))
    assert torch.equal(seen[0], x[0])
    assert torch.equal(shrunk[1], delta[1])
    assert 40.0 <= psnr(x, seen)[2] < 42.2  # one level is 48.1 dB, two are 42.1, three 38.6


def test_lab_leaves_lightness_alone_and_keeps_its_box():
    x = faces()
    x_hat = run(Lab(ascent="sign", limit=5.5, psnr=0.0, steps=8), x)
    moved = (in_lab(x_hat) - in_lab(x)).abs()
    inside = ((x_hat > 0.02) & (x_hat < 0.98)).all(1)
    # In whole levels of RGB: half of one is up to about .6 of L*a*b*.
    assert float(moved[:, 0][inside].max()) < 0.7
    assert float(moved[:, 1:].amax(1)[inside].max()) < 5.5 + 1.2
    assert float(moved[:, 1:].mean()) > 0.6 * 5.5, "signs fill the box"


def test_the_published_setting_reaches_a_fifth_of_its_bound():
    x = faces()
    moved = {}
    for ascent, steps in (("adam", 100), ("sign", 20)):
        x_hat = run(Lab(ascent=ascent, limit=5.5, psnr=0.0, steps=steps), x)
        moved[ascent] = float((in_lab(x_hat) - in_lab(x))[:, 1:].abs().mean())
        assert (aim(x)(x_hat) > 0).all()
    # At most 100 steps of 1e-4 of 110 units, and what rounding adds.
    assert moved["adam"] < 1.1 + 0.6
    assert moved["sign"] > 2.5 * moved["adam"]


def test_a_faster_adam_fills_the_box_and_never_leaves_it():
    x = faces()
    x_hat = run(Lab(limit=3.0, psnr=0.0, steps=40, rate=5e-3), x)
    inside = ((x_hat > 0.02) & (x_hat < 0.98)).all(1)
    moved = (in_lab(x_hat) - in_lab(x))[:, 1:].abs()
    assert float(moved.amax(1)[inside].max()) < 3.0 + 1.2
    assert float(moved.mean()) > 1.5


def test_the_published_setting_disrupts_more_than_it_would_without_ascending():
    x = faces()
    none, some = (run(Lab(psnr=0.0, steps=100, rate=rate), x) for rate in (1e-9, 1e-4))
    assert (aim(x)(some) > 4 * aim(x)(none) + 1e-6).all()


@pytest.mark.parametrize("ascent", ["adam", "gradient"])
def test_lab_aims_at_every_condition_where_it_is_asked_to(ascent):
    x = faces()
    own, all_of_them = (
        run(Lab(psnr=34.0, limit=110, ascent=ascent, steps=20, rate=2e-3, classes=c), x)
        for c in (False, True)
    )
    assert not torch.equal(own, all_of_them)
    worst = [min(float(one(x_hat).mean()) for one in aim(x).classes()) for x_hat in (own, all_of_them)]
    assert worst[1] > 0.9 * worst[0]


def test_a_psnr_that_one_level_exceeds_leaves_the_picture_as_it_is():
    x = faces(2)
    for attack in (PsnrPGD(psnr=120.0, steps=2), Lab(psnr=120.0, steps=2, ascent="sign")):
        assert torch.equal(run(attack, x), x)

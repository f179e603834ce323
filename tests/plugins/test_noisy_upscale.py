"""Noise first, then whatever restores; the noise is each picture's own."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.defenses.noisy_upscale import NoisyUpscale
from scipy import stats

from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from tests.edits import edited

TABLES = """
[restoration.soft]
use = "gaussian"
params = { sigma = 1.0 }

[restoration.coarse]
use = "bit-depth"
params = { bits = 3 }

[defense.repainted]
use = "noisy-upscale"
params = { noise = 0.1, restorations = ["soft", "coarse"] }

[defense.noise-alone]
use = "noisy-upscale"
params = { noise = 0.1 }
"""


def grey(n=3, side=24):
    return torch.full((n, 3, side, side), 0.5)


def rng(n=3, seed=0):
    return SampleRng(seed, "test", [str(i) for i in range(n)])


def test_noise_alone_is_gaussian_of_that_deviation():
    noise = (NoisyUpscale(restorations=None, noise=0.1)(grey(), None, None, rng=rng()) - 0.5).flatten()
    inside = noise[noise.abs() < 0.4999].numpy()  # 5 deviations and more are cut off
    assert stats.kstest(inside / 0.1, "norm").pvalue > 1e-3


def test_restorations_follow_the_noise_in_their_order(toy):
    kit = toy(TABLES)
    x = grey()
    noisy = kit.build("defense", "noise-alone")(x, None, None, rng=rng())
    soft, coarse = (kit.build("restoration", label) for label in ("soft", "coarse"))
    got = kit.build("defense", "repainted")(x, None, None, rng=rng())
    assert torch.equal(got, coarse(soft(noisy)))
    assert not torch.equal(got, soft(coarse(noisy)))


def test_a_pictures_noise_is_its_own_and_another_draw_is_another_noise():
    d, x = NoisyUpscale(restorations=None), grey()
    together = d(x, None, None, rng=rng())
    alone = d(x[1:2], None, None, rng=rng().select([1]))
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together, d(x, None, None, rng=rng(seed=1)))


def test_the_gradient_passes_through_noise_and_restorations(toy):
    kit = toy(edited(TABLES, ('["soft", "coarse"]', '["soft"]')))
    d = kit.build("defense", "repainted")
    x = grey(1, 9).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y: d.component(y, None, None, rng=rng(1)), (x,), fast_mode=True, eps=1e-4, atol=1e-4
    )


def test_a_misspelt_restoration_is_corrected(toy):
    with pytest.raises(MagdrError, match=r"\[defense.repainted\].*did you mean 'coarse'"):
        toy(edited(TABLES, ('"coarse"]', '"corse"]'))).build("defense", "repainted")

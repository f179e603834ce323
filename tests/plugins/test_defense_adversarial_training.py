"""Ruiz et al.'s defense: the published blur, and the second generator where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from magdr_plugins.defenses.adversarial_training import AdversarialTraining

from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError
from tests.edits import edited

TABLES = """
[generator.second]
use = "toy/net"
params = { gain = 3.0 }

[defense.ruiz]
use = "adversarial-training"
params = { generator = "second" }

[defense.blur]
use = "adversarial-training"
"""


def pictures(n=3, height=16, width=20):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def condition(n=3):
    return Condition(torch.ones(n, 2), torch.ones(n, 2, dtype=torch.bool))


@pytest.mark.parametrize(("border", "mode"), [("mirror", "reflect"), ("zero", "constant")])
def test_the_blur_is_an_11_tap_gaussian_of_sigma_one_and_a_half(border, mode):
    x = pictures()
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    y = AdversarialTraining(generator=None, border=border)(x, None, None)
    for plane, got in zip(x.flatten(0, 1).double().numpy(), y.flatten(0, 1).numpy(), strict=True):
        assert np.abs(got - scipy.ndimage.convolve(plane, kernel, mode=mode)).max() < 1e-5


@pytest.mark.parametrize("border", ["mirror", "zero"])
def test_the_blurs_gradient_equals_finite_differences(border):
    x = (0.2 + 0.6 * pictures(1, 7, 8)).double().requires_grad_()
    d = AdversarialTraining(generator=None, border=border)
    assert torch.autograd.gradcheck(lambda y: d(y, None, None), (x,), fast_mode=True)


def test_without_a_second_generator_it_is_the_blur_alone(toy):
    kit = toy(TABLES)
    d, G, x, c = kit.build("defense", "blur"), kit.generator("toy"), pictures(), condition()
    blurred = d(x, c, G)
    assert torch.equal(d.output(blurred, x, c, G), G(blurred, c))
    still = AdversarialTraining(generator=None, sigma=0.0)(x, c, G)
    assert torch.equal(still, x)


def test_the_second_generator_makes_the_output_of_the_blurred_input(toy):
    kit = toy(TABLES)
    d, G, x, c = kit.build("defense", "ruiz"), kit.generator("toy"), pictures(), condition()
    blurred = d(x, c, G)
    expected = kit.generator("second")(blurred, c)
    assert torch.equal(d.output(blurred, x, c, G), expected)
    assert not torch.allclose(expected, G(blurred, c))
    assert kit.resolve("defense", "ruiz").key != kit.resolve("defense", "blur").key


def test_passes_of_the_second_generator_are_counted(toy):
    kit = toy(TABLES)
    d, G, x, c = kit.build("defense", "ruiz"), kit.generator("toy"), pictures(), condition()
    d.output(d(x, c, G), x, c, G)
    assert (G.take_passes(), kit.take_inner_passes()) == (0, len(x))
    assert kit.take_inner_passes() == 0


def test_a_generator_of_another_task_keeps_its_place(toy):
    class Other:
        condition_names = ()

        def __call__(self, x, c):
            return 1 - x

    d = toy(TABLES).build("defense", "ruiz")
    x, c = pictures(), Condition(torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.bool))
    assert torch.equal(d.output(x, x, c, Other()), 1 - d(x, c, Other()))


def test_a_misspelt_generator_is_corrected(toy):
    with pytest.raises(MagdrError, match=r"\[defense.ruiz\].*did you mean 'second'"):
        toy(edited(TABLES, ('generator = "second"', 'generator = "secnod"'))).build("defense", "ruiz")

"""CIE L*a*b*: as scikit-image has it, its own inverse, with gradients that are finite everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from magdr_core.functional import from_lab, to_lab


def pictures(*shape):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    x[0, :, 0, 0], x[0, :, 0, 1], x[0, :, 0, 2] = 0.0, 1.0, 0.02
    return x


def test_lab_is_that_of_scikit_image():
    x = pictures(2, 3, 16, 16)
    theirs = rgb2lab(x.double().permute(0, 2, 3, 1).numpy())
    assert np.abs(to_lab(x.double()).permute(0, 2, 3, 1).numpy() - theirs).max() < 2e-3
    lab = to_lab(x.double()) + torch.tensor([0.0, 9.0, -9.0], dtype=torch.float64)[:, None, None]
    theirs = lab2rgb(lab.permute(0, 2, 3, 1).numpy())
    assert np.abs(from_lab(lab).permute(0, 2, 3, 1).numpy() - theirs).max() < 2e-4


def test_back_from_lab_an_8_bit_picture_is_the_same():
    x = (pictures(2, 3, 16, 16) * 255).round() / 255
    assert torch.equal((from_lab(to_lab(x)) * 255).round() / 255, x)


def test_colours_that_srgb_does_not_have_are_clamped():
    lab = torch.tensor([50.0, 120.0, -120.0])[None, :, None, None].expand(1, 3, 2, 2)
    y = from_lab(lab)
    assert y.min() == 0
    assert y.max() <= 1


@pytest.mark.parametrize("level", [0.0, 0.001, 0.04045, 0.5, 1.0])
def test_gradients_are_finite_at_black_and_where_curves_begin(level):
    x = torch.full((1, 3, 2, 2), level, requires_grad=True)
    from_lab(to_lab(x) + torch.tensor([0.0, 3.0, -3.0])[:, None, None]).sum().backward()
    assert torch.isfinite(x.grad).all()
    lab = torch.zeros(1, 3, 2, 2, requires_grad=True)
    from_lab(lab).sum().backward()
    assert torch.isfinite(lab.grad).all()


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        to_lab(torch.zeros(1, 1, 4, 4))

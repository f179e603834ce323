from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from magdr_core.functional import brighten, chroma_blur, chroma_depth, fade, luma, unbrighten, unfade

# JFIF 1.02: full-range YCbCr in [0,1] units, chroma around 0.
FORWARD = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
BACK = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])


def test_luma_equals_pillow(photos):
    x = photos(1, 20, 30)
    levels = (x[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    reference = np.asarray(Image.fromarray(levels).convert("L"), dtype=float)
    assert np.abs(luma(x)[0, 0].numpy() * 255 - reference).max() <= 0.51  # Pillow rounds


def test_chroma_blur_equals_a_blur_of_cb_and_cr(photos):
    x = photos(1, 20, 27) * 0.6 + 0.2  # no clamping
    planes = np.tensordot(FORWARD, x[0].double().numpy(), 1)
    planes[1:] = scipy.ndimage.gaussian_filter(planes[1:], 1.5, axes=(1, 2))
    reference = np.tensordot(BACK, planes, 1)
    assert np.abs(chroma_blur(x, 1.5)[0].numpy() - reference).max() < 5e-6  # JFIF's factors have 6 digits


@pytest.mark.parametrize("bits", [3, 5, 8])
def test_chroma_depth_equals_rounded_cb_and_cr(photos, bits):
    x = photos(1, 20, 27) * 0.6 + 0.2
    planes = np.tensordot(FORWARD, x[0].double().numpy(), 1)
    exact = planes[1:] * 2**bits
    tie = (np.abs(exact - np.floor(exact) - 0.5) < 1e-3).any(0)  # either neighbour is right
    planes[1:] = np.round(exact) / 2**bits
    reference = np.tensordot(BACK, planes, 1)
    error = np.abs(chroma_depth(x, bits)[0].numpy() - reference)
    assert error[:, ~tie].max() < 5e-6
    assert tie.mean() < 0.05


@pytest.mark.parametrize("f", [lambda x: chroma_blur(x, 2.0), lambda x: chroma_depth(x, 4)])
def test_chroma_filters_keep_luma_and_grey(photos, f):
    x = photos(1, 20, 27) * 0.5 + 0.25
    assert torch.allclose(luma(f(x)), luma(x), atol=1e-5)
    grey = luma(x).expand_as(x)
    assert torch.allclose(f(grey), grey, atol=1e-5)


@pytest.mark.parametrize("amount", [0.15, -0.3, 0.0, 0.8])
def test_brighten_is_inverted_exactly(photos, amount):
    x = photos(1, 20, 27)
    y = brighten(x, amount)
    assert torch.allclose(unbrighten(y, amount), x, atol=1e-6)
    ends = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    assert brighten(ends, amount).flatten().tolist() == pytest.approx([0, 0.5 + amount / 4, 1])


def test_brighten_gradients_are_finite_at_black_and_white():
    for f in (brighten, unbrighten, fade, unfade):
        x = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3).requires_grad_()
        f(x, 0.3).sum().backward()
        assert x.grad.isfinite().all()


def test_fade_is_inverted_and_clamped(photos):
    x = photos(1, 20, 27)
    assert torch.allclose(unfade(fade(x, 0.3), 0.3), x, atol=1e-6)
    ends = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    assert fade(ends, 0.2).flatten().tolist() == pytest.approx([0.1, 0.5, 0.9])
    assert unfade(ends, 0.2).flatten().tolist() == pytest.approx([0, 0.5, 1])


def test_wrong_colour_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: luma(x[:, :1]), "3 channels"),
        (lambda: chroma_blur(x, 0.0), "sigma"),
        (lambda: chroma_depth(x, 0), "bits"),
        (lambda: brighten(x, 1.0), "amount"),
        (lambda: unbrighten(x, -1.0), "amount"),
        (lambda: fade(x, 1.0), "amount"),
        (lambda: unfade(x, -0.1), "amount"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

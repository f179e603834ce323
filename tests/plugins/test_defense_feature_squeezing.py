"""Feature squeezing: each squeezer against SciPy, numpy or scikit-image, at the published strengths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import skimage.color
import torch
import torch.nn.functional as F
from magdr_plugins.defenses._lab import from_lab, to_lab
from magdr_plugins.defenses.feature_squeezing import FeatureSqueezing, colour_nlm

from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDefense


def pictures(n=2, height=14, width=18, noise=0.02):
    g = torch.Generator().manual_seed(0)
    x = F.interpolate(torch.rand(n, 3, 4, 4, generator=g), (height, width), mode="bicubic")
    x = x + noise * torch.randn(x.shape, generator=g)
    return (x.clamp(0, 1) * 255).round() / 255


def squeeze(x, *squeezers, **params):
    return GuardedDefense(FeatureSqueezing(squeezers=squeezers, **params), "squeezing")(x, None, None)


def hwc(x):
    return x.permute(0, 2, 3, 1).double().numpy()


def test_five_bits_equal_numpy():
    x = pictures()
    assert np.allclose(hwc(squeeze(x, "bit-depth")), np.rint(hwc(x) * 31) / 31, atol=1e-6)


def test_the_median_equals_scipys():
    x = pictures()
    expected = scipy.ndimage.median_filter(hwc(x), size=(1, 2, 2, 1), mode="reflect")
    assert np.allclose(hwc(squeeze(x, "median")), expected, atol=1e-6)


def test_lab_equals_scikit_images():
    colours = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    colours[..., :4] *= 0.03  # the linear parts of both curves
    colours[..., 4, :3] = torch.tensor([[0.0, 0.5, 1.0]] * 3)
    assert np.abs(hwc(to_lab(colours)) - skimage.color.rgb2lab(hwc(colours))).max() < 2e-3
    assert (from_lab(to_lab(colours)) - colours).abs().max() < 1e-5


def plain_nlm(planes, strength, patch, search):
    """Pixel by pixel: `[H,W,C]` -> same."""
    half, reach = patch // 2, search // 2
    margin = half + reach
    padded = np.pad(planes, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    result = np.empty_like(planes)
    for i in range(planes.shape[0]):
        for j in range(planes.shape[1]):
            y, x = i + margin, j + margin
            here = padded[y - half : y + half + 1, x - half : x + half + 1]
            total, weights = 0.0, 0.0
            for v in range(y - reach, y + reach + 1):
                for u in range(x - reach, x + reach + 1):
                    there = padded[v - half : v + half + 1, u - half : u + half + 1]
                    weight = np.exp(-np.mean((here - there) ** 2) / strength**2)
                    total, weights = total + weight * padded[v, u], weights + weight
            result[i, j] = total / weights
    return result


def test_non_local_means_filters_lightness_and_chroma_apart():
    """OpenCV's way for colour: L stretched to 255 levels, a and b as they are, strength 4 for both."""
    x = pictures(1, 9, 11)
    lab = skimage.color.rgb2lab(hwc(x)[0])
    lightness = plain_nlm(lab[..., :1] * 2.55, 4.0, 3, 11) / 2.55
    chroma = plain_nlm(lab[..., 1:], 4.0, 3, 11)
    expected = skimage.color.lab2rgb(np.concatenate([lightness, chroma], 2))
    result = hwc(squeeze(x, "nlm"))[0]
    assert np.abs(result - expected).max() < 2e-3
    assert np.abs(result - hwc(x)[0]).mean() > 5e-4, "it does something"


def test_squeezers_follow_each_other_in_their_order():
    x = pictures()
    assert torch.equal(squeeze(x, "median", "bit-depth"), squeeze(squeeze(x, "median"), "bit-depth"))
    assert not torch.equal(squeeze(x, "median", "nlm"), squeeze(x, "nlm", "median"))
    default = GuardedDefense(FeatureSqueezing(), "squeezing")(x, None, None)
    assert torch.equal(default, squeeze(x, "bit-depth", "median", "nlm"))


def test_an_image_gets_the_same_bits_in_every_batch():
    x = pictures(5)
    whole = squeeze(x, "bit-depth", "median", "nlm")
    for ids in ([0], [4, 1], [4, 3, 2, 1, 0]):
        assert torch.equal(squeeze(x[ids], "bit-depth", "median", "nlm"), whole[ids])


@pytest.mark.parametrize("level", [0.0, 0.2, 1.0])
def test_gradients_are_finite_on_flat_and_black_pictures(level):
    x = torch.full((1, 3, 8, 8), level, requires_grad=True)
    (gradient,) = torch.autograd.grad(squeeze(x, "bit-depth", "median", "nlm").sum(), x)
    assert gradient.isfinite().all()
    assert (gradient != 0).any()
    assert (squeeze(x, "nlm") - x).abs().max() < 1e-4


def test_gradients_of_non_local_means_equal_finite_differences():
    x = (pictures(1, 4, 5).double() * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: colour_nlm(y, 4.0, patch=3, search=3), (x,), fast_mode=True)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("squeezers = []", "squeezers"),
        ("squeezers = ['blur']", "squeezers"),
        ("search = 10", "odd"),
        ("bits = 9", "bits"),
    ],
)
def test_wrong_parameters_are_refused_with_their_place(toolkit_from, params, message):
    text = f"[defense.xu]\nuse = 'feature-squeezing'\nparams = {{ {params} }}\n"
    with pytest.raises(MagdrError, match=rf"\[defense.xu\].*{message}"):
        toolkit_from(text).build("defense", "xu")

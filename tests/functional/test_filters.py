from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from skimage.filters import unsharp_mask

from magdr_core.functional import bit_depth, gaussian_blur, median_blur, unsharp


@pytest.mark.parametrize("size", [(33, 20), (5, 6)])
@pytest.mark.parametrize(("sigma", "truncate"), [(0.4, 4.0), (1.0, 4.0), (1.5, 3.5), (3.0, 4.0)])
def test_gaussian_blur_equals_scipy(photos, size, sigma, truncate):
    # At 5x6 the widest kernel reaches over the image more than twice.
    x = photos(2, *size)
    reference = scipy.ndimage.gaussian_filter(x.double().numpy(), (0, 0, sigma, sigma), truncate=truncate)
    assert np.abs(gaussian_blur(x, sigma, truncate=truncate).numpy() - reference).max() < 1e-6


def test_gaussian_blur_of_a_white_image_stays_in_range_and_passes_its_gradient():
    x = torch.ones(1, 3, 16, 16, requires_grad=True)
    for sigma in (0.7, 1.0, 1.5, 2.3):
        y = gaussian_blur(x, sigma)
        assert y.max() <= 1
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.sum().item() == pytest.approx(x.numel(), rel=1e-4)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
def test_median_blur_equals_scipy(noisy, kernel):
    x = noisy(2, 21, 14)[1]
    reference = scipy.ndimage.median_filter(x.numpy(), size=(1, 1, kernel, kernel), mode="reflect")
    assert torch.equal(median_blur(x, kernel), torch.from_numpy(reference))
    assert torch.equal(median_blur(x.clone().requires_grad_(), kernel).detach(), torch.from_numpy(reference))


def test_median_blur_equals_scipy_where_many_values_are_equal():
    x = torch.randint(0, 3, (3, 3, 17, 12), generator=torch.Generator().manual_seed(0)).float() / 2
    for kernel in (2, 3, 5):
        reference = scipy.ndimage.median_filter(x.numpy(), size=(1, 1, kernel, kernel), mode="reflect")
        assert torch.equal(median_blur(x, kernel), torch.from_numpy(reference))


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_median_blur_sends_the_gradient_to_chosen_pixels(kernel):
    x = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(median_blur(x, kernel).sum(), x)
    assert gradient.sum().item() == pytest.approx(72)
    assert torch.equal(gradient, gradient.round())


def test_unsharp_equals_scikit_image(photos):
    x = photos(2, 25, 40)
    for i in range(2):
        reference = unsharp_mask(x[i].double().numpy(), radius=1.5, amount=0.8, channel_axis=0)
        assert np.abs(unsharp(x, 1.5, 0.8)[i].numpy() - reference).max() < 1e-4
    assert torch.equal(unsharp(x, 1.5, 0.0), x)


def test_bit_depth_gives_the_nearest_of_the_levels():
    x = torch.tensor([0.0, 0.1, 0.2, 0.49, 0.51, 0.9, 1.0]).reshape(1, 1, 1, 7)
    assert bit_depth(x, 1).flatten().tolist() == [0, 0, 0, 0, 1, 1, 1]
    expected = [0, 0, 1 / 3, 1 / 3, 2 / 3, 1, 1]
    assert bit_depth(x, 2).flatten().tolist() == pytest.approx(expected)


def test_bit_depth_of_8_keeps_8bit_images(photos):
    x = photos(1, 16, 16)
    assert torch.equal(bit_depth(x, 8), x)
    assert len(bit_depth(x, 3).unique()) <= 8


def test_wrong_filter_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: gaussian_blur(x, 0.0), "sigma"),
        (lambda: gaussian_blur(x, float("nan")), "sigma"),
        (lambda: gaussian_blur(x, 1.0, truncate=-1), "truncate"),
        (lambda: median_blur(x, 0), "kernel"),
        (lambda: bit_depth(x, 9), "bits"),
        (lambda: unsharp(x, -1.0, 1.0), "sigma"),
        (lambda: gaussian_blur(x[0], 1.0), "B,C,H,W"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

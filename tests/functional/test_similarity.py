from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from magdr_core.functional import least_ssim, mae, mse, psnr, ssim, ssim_map


def _skimage_ssim(a, b):
    return structural_similarity(
        a.permute(1, 2, 0).double().numpy(),
        b.permute(1, 2, 0).double().numpy(),
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
        data_range=1.0,
    )


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (37, 53), (11, 30)])
def test_ssim_map_equals_scikit_image_borders_included(noisy, size):
    a, b = noisy(3, *size)
    ours = ssim_map(a, b)
    for i in range(len(a)):
        _, reference = _skimage_ssim(a[i], b[i])
        error = np.abs(ours[i].permute(1, 2, 0).numpy() - reference)
        # float32 leaves 3e-5 in single pixels; scikit-image's own float32 map is off by 2e-4.
        assert error.max() < 5e-5
        assert error.mean() < 3e-6


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (37, 53), (11, 30)])
def test_ssim_equals_scikit_image(noisy, size):
    a, b = noisy(3, *size)
    expected = [_skimage_ssim(x, y)[0] for x, y in zip(a, b, strict=True)]
    assert ssim(a, b).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (37, 53), (8, 30)])
def test_the_least_ssim_is_scikit_images_or_that_of_its_whole_map(noisy, size):
    a, b = noisy(3, *size)
    b[1, ..., :3] = 1 - a[1, ..., :3]  # a border that the usual mean hardly sees
    b[2] = a[2]
    b[2, ..., size[0] // 2, 6:-6] = 0.3
    for found, x, y in zip(least_ssim(a, b).tolist(), a, b, strict=True):
        if min(size) < 11:  # scikit-image refuses
            assert found == pytest.approx(float(ssim_map(x[None], y[None]).mean()), abs=1e-6)
            continue
        usual, whole = _skimage_ssim(x, y)
        assert found == pytest.approx(min(usual, whole.mean()), abs=1e-5)


def test_ssim_map_in_flat_areas_equals_scikit_image():
    # Flat bright areas are the worst case of E[x^2] - E[x]^2 in float32.
    a = torch.full((1, 3, 32, 32), 1.0)
    a[..., 10:20] = 250 / 255
    b = a - 1 / 255
    _, reference = _skimage_ssim(a[0], b[0])
    assert np.abs(ssim_map(a, b)[0].permute(1, 2, 0).numpy() - reference).max() < 1e-4


def test_ssim_map_of_two_flat_images_is_the_luminance_term():
    a, b = torch.full((1, 3, 16, 20), 0.2), torch.full((1, 3, 16, 20), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert torch.allclose(ssim_map(a, b), torch.tensor(expected), atol=1e-5)


def test_ssim_of_an_image_with_itself_is_one_and_symmetric(noisy):
    a, b = noisy(2, 40, 24)
    assert torch.allclose(ssim(a, a), torch.ones(2))
    assert torch.allclose(ssim(a, b), ssim(b, a), atol=1e-6)


def test_ssim_map_works_on_images_smaller_than_half_the_window(photos):
    x = photos(1, 4, 3)
    assert torch.allclose(ssim_map(x, x), torch.ones_like(x))


def test_ssim_gradient_points_to_the_reference(noisy):
    a, b = noisy(1, 20, 20)
    b.requires_grad_()
    (gradient,) = torch.autograd.grad(ssim(a, b).sum(), b)
    assert gradient.isfinite().all()
    assert ssim(a, b + 1e-2 * gradient / gradient.abs().max()).item() > ssim(a, b).item()


def test_mse_mae_psnr_on_a_hand_computed_image():
    a = torch.zeros(1, 3, 2, 2)
    b = a.clone()
    b[0, 0] = torch.tensor([[0.1, 0.2], [0.0, 0.4]])
    assert mse(a, b).item() == pytest.approx((0.01 + 0.04 + 0.16) / 12)
    assert mae(a, b).item() == pytest.approx(0.7 / 12)
    assert psnr(a, b).item() == pytest.approx(-10 * math.log10(0.21 / 12), abs=1e-5)


def test_mse_and_psnr_equal_scikit_image(noisy):
    a, b = noisy(2, 33, 18)
    for i in range(2):
        x, y = a[i].double().numpy(), b[i].double().numpy()
        assert mse(a, b)[i].item() == pytest.approx(mean_squared_error(x, y), rel=1e-5)
        assert psnr(a, b)[i].item() == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1), abs=1e-4)
    assert torch.allclose(psnr(a * 255, b * 255, data_range=255), psnr(a, b), atol=1e-4)


def test_psnr_of_equal_images_is_infinite(photos):
    x = photos(2, 8, 8)
    assert psnr(x, x).isposinf().all()


@pytest.mark.parametrize("function", [ssim, ssim_map, mse, mae, psnr])
def test_different_shapes_are_refused(function):
    with pytest.raises(ValueError, match="same shape"):
        function(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 17))


def test_wrong_similarity_parameters_are_refused():
    x = torch.zeros(1, 3, 10, 16)
    with pytest.raises(ValueError, match="smaller than the SSIM window"):
        ssim(x, x)
    with pytest.raises(ValueError, match="odd"):
        ssim_map(x, x, window=10)
    with pytest.raises(ValueError, match="sigma"):
        ssim_map(x, x, sigma=0)
    with pytest.raises(ValueError, match="data_range"):
        psnr(x, x, data_range=0)
    with pytest.raises(ValueError, match="B,C,H,W"):
        mse(x[0], x[0])
    with pytest.raises(ValueError, match="floating"):
        mse(x.int(), x.int())

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_tv_chambolle

from magdr_core.functional import bilateral, nlm, psnr, tv_denoise


def _bilateral_by_hand(image, kernel, sigma_color, sigma_space):
    radius = kernel // 2
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), mode="symmetric")
    out = np.empty_like(image)
    for i in range(height):
        for j in range(width):
            total, weights = np.zeros(3), 0.0
            for di in range(-radius, radius + 1):
                for dj in range(-radius, radius + 1):
                    other = padded[:, radius + i + di, radius + j + dj]
                    colour = np.sum((other - image[:, i, j]) ** 2)
                    weight = np.exp(-colour / (2 * sigma_color**2) - (di**2 + dj**2) / (2 * sigma_space**2))
                    total, weights = total + weight * other, weights + weight
            out[:, i, j] = total / weights
    return out


def _nlm_by_hand(image, strength, patch, search):
    reach, half = search // 2, patch // 2
    margin = reach + half
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")

    def around(i, j):
        return padded[:, margin + i - half : margin + i + half + 1, margin + j - half : margin + j + half + 1]

    out = np.empty_like(image)
    for i in range(height):
        for j in range(width):
            total, weights = np.zeros(3), 0.0
            for di in range(-reach, reach + 1):
                for dj in range(-reach, reach + 1):
                    distance = np.mean((around(i + di, j + dj) - around(i, j)) ** 2)
                    weight = np.exp(-distance / strength**2)
                    total = total + weight * padded[:, margin + i + di, margin + j + dj]
                    weights += weight
            out[:, i, j] = total / weights
    return out


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("sigma_color", "sigma_space"), [(0.05, 1.0), (0.2, 2.0)])
def test_bilateral_equals_a_brute_force_reference(noisy, kernel, sigma_color, sigma_space):
    x = noisy(1, 13, 10)[1]
    reference = _bilateral_by_hand(x[0].double().numpy(), kernel, sigma_color, sigma_space)
    assert np.abs(bilateral(x, kernel, sigma_color, sigma_space)[0].numpy() - reference).max() < 2e-6


@pytest.mark.parametrize(("patch", "search"), [(3, 7), (5, 7), (3, 9), (1, 3)])
@pytest.mark.parametrize("strength", [0.05, 0.2])
def test_nlm_equals_a_brute_force_reference(noisy, strength, patch, search):
    x = noisy(1, 11, 8)[1]
    reference = _nlm_by_hand(x[0].double().numpy(), strength, patch, search)
    assert np.abs(nlm(x, strength, patch, search)[0].numpy() - reference).max() < 5e-6


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
@pytest.mark.parametrize("weight", [0.02, 0.1, 0.5])
def test_tv_denoise_equals_scikit_image(noisy, weight, steps):
    x = noisy(2, 30, 19)[1]
    ours = tv_denoise(x, weight, steps)
    for i in range(2):
        reference = denoise_tv_chambolle(
            x[i].double().numpy(), weight=weight, max_num_iter=steps, eps=0, channel_axis=0
        )
        assert np.abs(ours[i].numpy() - reference).max() < 2e-6


def test_tv_denoise_of_a_flat_image_has_a_finite_gradient():
    x = torch.full((1, 3, 8, 9), 0.5, requires_grad=True)
    y = tv_denoise(x, 0.1, 10)
    assert torch.allclose(y, x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "denoise",
    [lambda x: bilateral(x, 5, 0.25, 1.5), lambda x: nlm(x, 0.15), lambda x: tv_denoise(x, 0.1)],
    ids=["bilateral", "nlm", "tv"],
)
def test_denoisers_bring_a_noisy_image_nearer_to_the_clean_one(noisy, denoise):
    clean, x = noisy(2, 64, 64)
    assert (psnr(denoise(x), clean) > psnr(x, clean) + 2).all()


def test_wrong_denoiser_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: bilateral(x, 4, 0.1, 1.0), "kernel"),
        (lambda: bilateral(x, 5, 0.0, 1.0), "sigma_color"),
        (lambda: bilateral(x, 5, 0.1, -1.0), "sigma_space"),
        (lambda: bilateral(x[:, :1], 5, 0.1, 1.0), "3 channels"),
        (lambda: nlm(x, 0.0), "strength"),
        (lambda: nlm(x, 0.1, patch=2), "patch"),
        (lambda: nlm(x, 0.1, search=6), "search"),
        (lambda: tv_denoise(x, 0.0), "weight"),
        (lambda: tv_denoise(x, 0.1, 0), "steps"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from magdr_core.functional import anisotropic_diffusion, gaussian_blur, psnr, richardson_lucy


def _by_hand(image, kappa, steps, rate, conduction):
    out = image.astype(float)
    _, height, width = out.shape
    for _ in range(steps):
        new = out.copy()
        for i in range(height):
            for j in range(width):
                for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                    if 0 <= i + di < height and 0 <= j + dj < width:
                        d = out[:, i + di, j + dj] - out[:, i, j]
                        ratio = np.sum(d**2) / kappa**2
                        g = math.exp(-ratio) if conduction == "exponential" else 1 / (1 + ratio)
                        new[:, i, j] += rate * g * d
        out = new
    return out


@pytest.mark.parametrize("conduction", ["exponential", "rational"])
@pytest.mark.parametrize(("kappa", "steps", "rate"), [(0.05, 4, 0.2), (0.3, 2, 0.25)])
def test_anisotropic_diffusion_equals_its_definition(noisy, conduction, kappa, steps, rate):
    x = noisy(1, 11, 14)[1]
    reference = _by_hand(x[0].numpy(), kappa, steps, rate, conduction)
    ours = anisotropic_diffusion(x, kappa, steps, rate=rate, conduction=conduction)
    assert np.abs(ours[0].numpy() - reference).max() < 1e-6


def test_anisotropic_diffusion_on_a_hand_computed_image():
    x = torch.tensor([[0.0, 0.1, 0.1]]).reshape(1, 1, 1, 3)
    moved = 0.2 * 0.1 / (1 + (0.1 / 0.2) ** 2)
    ours = anisotropic_diffusion(x, 0.2, 1, conduction="rational")
    assert ours.flatten().tolist() == pytest.approx([moved, 0.1 - moved, 0.1])


def test_anisotropic_diffusion_keeps_means_and_edges(noisy):
    clean, x = noisy(2, 61, 64)
    out = anisotropic_diffusion(x, 0.2, 10)
    assert torch.allclose(out.mean((2, 3)), x.mean((2, 3)), atol=1e-5), "nothing flows out of the image"
    assert (psnr(out, clean) > psnr(x, clean) + 3).all()
    step = torch.zeros(1, 3, 8, 8)
    step[..., 4:] = 1
    assert torch.allclose(anisotropic_diffusion(step, 0.1, 50), step, atol=1e-6)


def test_anisotropic_diffusion_with_a_large_kappa_is_the_heat_equation(photos):
    x = photos(1, 12, 15)
    laplacian = np.stack([scipy.ndimage.laplace(plane, mode="nearest") for plane in x[0].double().numpy()])
    ours = anisotropic_diffusion(x, 1e4, 1, rate=0.1)
    assert np.abs(ours[0].numpy() - (x[0].numpy() + 0.1 * laplacian)).max() < 1e-6


@pytest.mark.parametrize(("sigma", "steps"), [(0.6, 3), (1.2, 5)])
def test_richardson_lucy_equals_its_definition(photos, sigma, steps):
    x = photos(1, 20, 23).clamp(0.02, 1)
    image = x[0].double().numpy()

    def blur(planes):
        return scipy.ndimage.gaussian_filter(planes, sigma, axes=(1, 2))

    estimate = image
    for _ in range(steps):
        estimate = estimate * blur(image / blur(estimate))
    ours = richardson_lucy(x, sigma, steps)[0].numpy()
    assert np.abs(ours - estimate.clip(0, 1)).max() < 1e-5


def test_richardson_lucy_undoes_a_blur(photos):
    x = photos(2, 48, 50)
    blurred = gaussian_blur(x, 1.0)
    assert (psnr(richardson_lucy(blurred, 1.0, 10), x) > psnr(blurred, x) + 2).all()


def test_wrong_diffusion_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: anisotropic_diffusion(x, 0.0, 1), "kappa"),
        (lambda: anisotropic_diffusion(x, 0.1, 0), "steps"),
        (lambda: anisotropic_diffusion(x, 0.1, 1, rate=0.3), "rate"),
        (lambda: anisotropic_diffusion(x, 0.1, 1, conduction="linear"), "conduction"),
        (lambda: richardson_lucy(x, 0.0, 1), "sigma"),
        (lambda: richardson_lucy(x, 1.0, 0), "steps"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

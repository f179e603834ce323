from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch

from magdr_core.functional import guided_filter, psnr, wiener


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_wiener_equals_scipy(noisy, kernel, sigma):
    x = noisy(1, 21, 27)[1]
    # SciPy pads with zeros; a wide mirrored border moves that out of sight.
    wide = np.pad(x[0].double().numpy(), ((0, 0), (9, 9), (9, 9)), mode="symmetric")
    reference = np.stack([scipy.signal.wiener(plane, kernel, sigma**2) for plane in wide])[:, 9:-9, 9:-9]
    assert np.abs(wiener(x, kernel, sigma)[0].numpy() - reference).max() < 1e-5


def test_wiener_estimates_the_noise_as_scipy_does(noisy):
    x = noisy(2, 21, 27)[1]
    ours = wiener(x, 3)
    for i in range(2):
        for c in range(3):
            plane = x[i, c].double().numpy()
            mean = scipy.ndimage.uniform_filter(plane, 3)
            noise = (scipy.ndimage.uniform_filter(plane**2, 3) - mean**2).mean()
            alone = wiener(x[i : i + 1, c : c + 1], 3, noise**0.5)
            assert torch.allclose(ours[i, c], alone[0, 0], atol=1e-5)


def test_wiener_on_a_hand_computed_image():
    x = torch.tensor([[0.2, 0.8, 0.2]]).expand(3, 3).reshape(1, 1, 3, 3)
    # Around the centre: mean .4, variance .08; noise .04 halves the deviation.
    assert wiener(x, 3, 0.2)[0, 0, 1, 1].item() == pytest.approx(0.4 + 0.5 * 0.4, abs=1e-6)
    assert wiener(x, 3, 0.5)[0, 0, 1, 1].item() == pytest.approx(0.4, abs=1e-6)
    assert torch.allclose(wiener(x, 3, 0.0), x, atol=1e-6)


def _guided_by_hand(image, radius, eps):
    kernel, (_, height, width) = 2 * radius + 1, image.shape
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), mode="symmetric")
    a, b = np.zeros((height, width, 3, 3)), np.zeros((height, width, 3))
    for i in range(height):
        for j in range(width):
            window = padded[:, i : i + kernel, j : j + kernel].reshape(3, -1)
            covariance, mean = np.cov(window, bias=True), window.mean(1)
            a[i, j] = np.linalg.solve(covariance + eps**2 * np.eye(3), covariance).T
            b[i, j] = mean - a[i, j] @ mean
    a = scipy.ndimage.uniform_filter(a, (kernel, kernel, 1, 1))
    b = scipy.ndimage.uniform_filter(b, (kernel, kernel, 1))
    return np.clip(np.einsum("ijab,bij->aij", a, image) + b.transpose(2, 0, 1), 0, 1)


@pytest.mark.parametrize(("radius", "eps"), [(1, 0.02), (2, 0.05), (3, 0.1)])
def test_guided_filter_equals_its_definition(noisy, radius, eps):
    x = noisy(1, 15, 18)[1]
    reference = _guided_by_hand(x[0].double().numpy(), radius, eps)
    assert np.abs(guided_filter(x, radius, eps)[0].numpy() - reference).max() < 3e-6
    assert np.abs(guided_filter(x.double(), radius, eps)[0].numpy() - reference).max() < 1e-12


def test_guided_filter_follows_another_pictures_edges():
    """A window's fit is a regression of the image on the guide, solved here window by window."""
    rng = np.random.default_rng(0)
    image, guide = rng.random((3, 7, 9)), rng.random((3, 7, 9))
    padded = [np.pad(a, ((0, 0), (2, 2), (2, 2)), mode="symmetric") for a in (image, guide)]
    fits = np.zeros((7, 9, 4, 3))
    for i in range(7):
        for j in range(9):
            p, g = (a[:, i : i + 5, j : j + 5].reshape(3, -1) for a in padded)
            between = (g - g.mean(1, keepdims=True)) @ (p - p.mean(1, keepdims=True)).T / p.shape[1]
            fits[i, j, :3] = np.linalg.solve(np.cov(g, bias=True) + 0.1**2 * np.eye(3), between)
            fits[i, j, 3] = p.mean(1) - g.mean(1) @ fits[i, j, :3]
    fits = scipy.ndimage.uniform_filter(fits, (5, 5, 1, 1))
    expected = np.einsum("cij,ijck->kij", guide, fits[:, :, :3]) + fits[:, :, 3].transpose(2, 0, 1)
    x, g = (torch.from_numpy(a)[None] for a in (image, guide))
    assert np.abs(guided_filter(x, 2, 0.1, g)[0].numpy() - expected.clip(0, 1)).max() < 1e-12
    assert torch.allclose(guided_filter(x, 2, 0.1, x), guided_filter(x, 2, 0.1), atol=1e-12)


def test_guided_filter_of_grey_images_and_extreme_eps(photos):
    """Grey makes the colour covariance singular: only the ridge keeps it invertible."""
    grey = photos(1, 20, 20).mean(1, keepdim=True).expand(1, 3, 20, 20)
    out = guided_filter(grey, 2, 0.01)
    assert (out.amax(1) - out.amin(1)).max() < 1e-5
    assert torch.allclose(guided_filter(grey, 2, 1e-3), grey, atol=2e-3)


def test_local_filters_remove_noise(noisy):
    clean, x = noisy(2, 61, 64)
    assert (psnr(wiener(x, 5, 0.1), clean) > psnr(x, clean) + 3).all()
    assert (psnr(guided_filter(x, 2, 0.12), clean) > psnr(x, clean) + 3).all()


def test_wrong_local_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: wiener(x, 4), "odd"),
        (lambda: wiener(x, 3, -1.0), "sigma"),
        (lambda: guided_filter(x, 0, 0.1), "radius"),
        (lambda: guided_filter(x, 1, 0.0), "eps"),
        (lambda: guided_filter(x[:, :1], 1, 0.1), "3 channels"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

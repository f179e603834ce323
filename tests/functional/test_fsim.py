"""FSIM against a plain numpy version, one image and one filter at a time, and its known properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from magdr_core.functional import fsim, gaussian_blur
from magdr_core.functional.fsim import EdgeMaps, edge_maps, fsim_of_maps, phase_congruency


def _frequencies(n):
    return (np.arange(n) - n // 2) / n


def reference_phase_congruency(image):
    """Kovesi's phase congruency, double precision, centred spectra, loops."""
    rows, cols = image.shape
    x, y = np.meshgrid(_frequencies(cols), _frequencies(rows))
    radius = np.hypot(x, y)
    radius[rows // 2, cols // 2] = 1
    theta = np.arctan2(-y, x)
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    total_energy, total_amplitude = np.zeros(image.shape), np.zeros(image.shape)
    for o in range(4):
        alpha = o * np.pi / 4
        sine = np.sin(theta) * np.cos(alpha) - np.cos(theta) * np.sin(alpha)
        cosine = np.cos(theta) * np.cos(alpha) + np.sin(theta) * np.sin(alpha)
        angular = np.exp(-(np.arctan2(sine, cosine) ** 2) / (2 * (np.pi / 4 / 1.2) ** 2))
        responses, spatial = [], []
        for s in range(4):
            gabor = np.exp(-(np.log(radius * 6 * 2**s) ** 2) / (2 * np.log(0.55) ** 2))
            gabor /= 1 + (radius / 0.45) ** 30
            gabor[rows // 2, cols // 2] = 0
            g = np.fft.ifftshift(gabor * angular)
            responses.append(np.fft.ifft2(np.fft.ifftshift(spectrum) * g))
            spatial.append(np.real(np.fft.ifft2(g)) * np.sqrt(rows * cols))
            if s == 0:
                finest = (g**2).sum()
        mean = sum(responses)
        mean = mean / (np.abs(mean) + 1e-4)
        energy = np.zeros(image.shape)
        for r in responses:
            rotated = r * np.conj(mean)
            energy += rotated.real - np.abs(rotated.imag)
        noise_power = -np.median(np.abs(responses[0]) ** 2) / np.log(0.5) / finest
        squares = sum((f**2).sum() for f in spatial)
        products = sum((spatial[i] * spatial[j]).sum() for i in range(4) for j in range(i + 1, 4))
        energy2 = 2 * noise_power * squares + 4 * noise_power * products
        tau = np.sqrt(energy2 / 2)
        threshold = (tau * np.sqrt(np.pi / 2) + 2 * np.sqrt((2 - np.pi / 2) * tau**2)) / 1.7
        total_energy += np.maximum(energy - threshold, 0)
        total_amplitude += sum(np.abs(r) for r in responses)
    return total_energy / total_amplitude


def _scharr(image):
    padded = np.pad(image, 1)
    kernel = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    gx, gy = np.zeros(image.shape), np.zeros(image.shape)
    for i in range(3):
        for j in range(3):
            window = padded[i : i + image.shape[0], j : j + image.shape[1]]
            gx += kernel[i, j] * window
            gy += kernel[j, i] * window
    return np.hypot(gx, gy)


def reference_fsim(a, b):
    """`a`, `b` `[3,H,W]` in [0,1]."""
    gray = [np.tensordot([0.299, 0.587, 0.114], 255 * t.double().numpy(), 1) for t in (a, b)]
    pc = [reference_phase_congruency(g) for g in gray]
    gm = [_scharr(g) for g in gray]
    s = (2 * pc[0] * pc[1] + 0.85) / (pc[0] ** 2 + pc[1] ** 2 + 0.85)
    s *= (2 * gm[0] * gm[1] + 160) / (gm[0] ** 2 + gm[1] ** 2 + 160)
    weight = np.maximum(*pc)
    return (s * weight).sum() / weight.sum()


@pytest.mark.parametrize("size", [(64, 64), (37, 53), (30, 48)])
def test_fsim_equals_the_numpy_reference(noisy, size):
    a, b = noisy(3, *size)
    expected = [reference_fsim(x, y) for x, y in zip(a, b, strict=True)]
    assert fsim(a, b).tolist() == pytest.approx(expected, abs=2e-5)
    assert max(expected) < 0.98, "the noise must show"


def test_phase_congruency_equals_the_numpy_reference(photos):
    levels = 255 * photos(2, 48, 64).mean(1)
    ours = phase_congruency(levels)
    for image, pc in zip(levels, ours, strict=True):
        assert np.abs(pc.numpy() - reference_phase_congruency(image.double().numpy())).max() < 1e-3


def test_phase_congruency_finds_an_edge_whatever_its_contrast():
    x = torch.zeros(2, 64, 64)
    x[0, :, 32:], x[1, :, 32:] = 200.0, 40.0
    strong, faint = phase_congruency(x)
    assert strong[32, 31:33].min() > 0.75
    assert torch.allclose(strong, faint, atol=1e-3)
    assert strong[32, 24:28].max() < 0.3
    assert phase_congruency(torch.full((1, 32, 32), 90.0)).max() < 0.01


def test_fsim_is_one_for_equal_images_symmetric_and_in_range(noisy):
    a, b = noisy(4, 64, 64)
    assert torch.equal(fsim(a, a), torch.ones(4))
    assert torch.equal(fsim(a, b), fsim(b, a))
    inverted = fsim(a, 1 - b)
    assert ((inverted >= 0) & (inverted <= 1)).all()


@pytest.mark.parametrize("harm", ["blur", "noise"])
def test_fsim_falls_as_the_harm_grows(photos, harm):
    x = photos(3, 64, 64)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    harmed = {
        "blur": [gaussian_blur(x, s) for s in (0.5, 1.0, 2.0, 4.0)],
        "noise": [(x + s * noise).clamp(0, 1) for s in (0.01, 0.03, 0.1, 0.3)],
    }[harm]
    values = torch.stack([fsim(x, y) for y in harmed])
    assert (values[1:] < values[:-1]).all()
    assert (values[0] > 0.97).all()
    assert (values[-1] < 0.8).all()


def test_fsim_ignores_a_change_of_brightness(photos):
    x = photos(2, 64, 64) * 0.8
    assert (fsim(x, x + 0.1) > 0.99).all()


def test_fsim_of_flat_images_is_a_number():
    flat = torch.full((1, 3, 32, 32), 0.4)
    assert fsim(flat, flat).item() == 1.0
    assert 0.98 < fsim(flat, flat + 0.2).item() < 1.0, "only the border's step to black differs"


def test_fsim_averages_large_images_down(photos):
    x = photos(1, 128, 128).repeat_interleave(4, 2).repeat_interleave(4, 3)  # 512: averaged by 2
    y = gaussian_blur(x, 4.0)
    half = [t.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)) for t in (x, y)]
    assert fsim(x, y).item() == pytest.approx(fsim(*half).item(), abs=1e-5)


def test_fsim_of_an_image_does_not_depend_on_its_batch(noisy):
    a, b = noisy(5, 64, 64)
    whole = fsim(a, b)
    for i in range(5):
        assert torch.equal(fsim(a[i : i + 1], b[i : i + 1])[0], whole[i])


def test_fsim_of_maps_that_are_there_is_the_same(noisy):
    a, b = noisy(2, 40, 40)
    maps = edge_maps(a)
    assert isinstance(maps, EdgeMaps)
    assert torch.equal(fsim_of_maps(maps, edge_maps(b)), fsim(a, b))


def test_fsim_refuses_what_it_cannot_compare():
    x = torch.zeros(1, 3, 32, 32)
    with pytest.raises(ValueError, match="same shape"):
        fsim(x, x[..., :30])
    with pytest.raises(ValueError, match="too small for FSIM"):
        fsim(x[..., :8], x[..., :8])
    with pytest.raises(ValueError, match="3 channels"):
        fsim(x[:, :1], x[:, :1])

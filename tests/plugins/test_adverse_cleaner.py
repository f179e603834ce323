"""AdverseCleaner against OpenCV's filters where they are installed, and against loops that spell them out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from magdr_plugins.restorations import adverse_cleaner as module
from magdr_plugins.restorations.adverse_cleaner import _bilateral, _mirrored, adverse_cleaner


def pictures(n=2, height=12, width=15):
    coarse = torch.rand(n, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    return (x + noise / 10).clamp(0, 1)


def levels(x):
    return np.ascontiguousarray(255 * x.permute(1, 2, 0).double().numpy())


def bilateral_by_loops(image, sigma_color, sigma_space, radius=2):
    """OpenCV's definition for colour pictures on levels of 255, pixel by pixel."""
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    out = np.empty_like(image)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            total, weights = np.zeros(3), 0.0
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    if math.hypot(dy, dx) > radius:
                        continue
                    other = padded[i + radius + dy, j + radius + dx]
                    apart = np.abs(other - image[i, j]).sum()
                    weight = math.exp(
                        -(dy * dy + dx * dx) / (2 * sigma_space**2) - apart**2 / (2 * sigma_color**2)
                    )
                    total, weights = total + weight * other, weights + weight
            out[i, j] = total / weights
    return out


def guided_by_loops(image, guide, radius, eps):
    """He et al., Eq. 14 to 16, each window solved by itself, borders mirrored; on levels of 255."""
    sides = ((radius, radius), (radius, radius), (0, 0))
    image, guide = (np.pad(a, sides, mode="symmetric") for a in (image, guide))
    height, width = (s - 2 * radius for s in image.shape[:2])
    fits = np.empty((height, width, 4, 3))
    for i in range(height):
        for j in range(width):
            g, p = (a[i : i + 2 * radius + 1, j : j + 2 * radius + 1].reshape(-1, 3) for a in (guide, image))
            covariance = np.cov(g.T, bias=True) + eps * np.eye(3)
            between = (g - g.mean(0)).T @ (p - p.mean(0)) / len(g)
            a = np.linalg.solve(covariance, between)
            fits[i, j, :3], fits[i, j, 3] = a, p.mean(0) - g.mean(0) @ a
    fits = np.pad(fits, (*sides[:2], (0, 0), (0, 0)), mode="symmetric")
    out = np.empty((height, width, 3))
    for i in range(height):
        for j in range(width):
            mean = fits[i : i + 2 * radius + 1, j : j + 2 * radius + 1].mean((0, 1))
            out[i, j] = guide[i + radius, j + radius] @ mean[:3] + mean[3]
    return out


def test_one_bilateral_round_is_opencvs_definition():
    x = pictures()
    got = adverse_cleaner(x, guide="none", rounds=1)
    for picture, found in zip(x, got, strict=True):
        assert np.abs(levels(found) - bilateral_by_loops(levels(picture), 8.0, 8.0)).max() < 1e-2


def test_many_bilateral_rounds_are_opencvs_own():
    cv2 = pytest.importorskip("cv2")
    x = pictures(1, 20, 24)
    expected = levels(x[0]).astype(np.float32)
    for _ in range(64):
        expected = cv2.bilateralFilter(expected, 5, 8, 8)
    # OpenCV looks weights up in a table of 4,096 for the whole range.
    assert np.abs(levels(adverse_cleaner(x, guide="none")[0]) - expected).max() < 0.3


@pytest.mark.parametrize("guide", ["input", "filtered"])
def test_the_second_half_is_four_guided_filters(guide):
    x = pictures(1, 10, 11)
    received = levels(x[0])
    expected = bilateral_by_loops(received, 8.0, 8.0)
    for _ in range(4):
        expected = guided_by_loops(expected, received if guide == "input" else expected, 4, 16.0)
        expected = expected.clip(0, 255)
    got = levels(adverse_cleaner(x, guide=guide, rounds=1)[0])
    assert np.abs(got - expected).max() < 0.05


def test_the_published_guided_filter_is_opencvs_own():
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "ximgproc"):
        pytest.skip("OpenCV without its contributed modules")
    x = pictures(1, 20, 24)
    received = levels(x[0]).astype(np.float32)
    expected = received
    for _ in range(4):
        expected = cv2.ximgproc.guidedFilter(received, expected, 4, 16)
    got = levels(adverse_cleaner(x, rounds=0)[0])
    assert np.abs(got - expected.clip(0, 255)).max() < 0.1


def test_an_attacked_guide_puts_the_attack_back():
    """On areas of one colour."""
    coarse = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).mul(200).add(25).round() / 255
    clean = coarse.repeat_interleave(12, 2).repeat_interleave(12, 3)
    signs = torch.rand(clean.shape, generator=torch.Generator().manual_seed(2)).sub(0.5).sign()
    attacked = (clean + 6 / 255 * signs).clamp(0, 1)

    def left(guide):
        return float((adverse_cleaner(attacked, guide=guide) - clean).square().mean())

    assert left("none") < 0.7 * left("input")
    assert left("filtered") < 0.7 * left("input")


@pytest.mark.parametrize("guide", ["input", "filtered", "none"])
def test_the_gradient_is_that_of_the_plain_graph(guide, monkeypatch):
    """Rounds are computed again on the way back; nothing else may differ."""
    x = pictures(2, 9, 8).double()
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def gradient():
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad((adverse_cleaner(leaf, guide=guide, rounds=5) * weights).sum(), leaf)[0]

    again = gradient()
    monkeypatch.setattr(module, "checkpoint", lambda f, *given, **settings: f(*given))
    assert torch.equal(again, gradient())


@pytest.mark.parametrize("guide", ["input", "none"])
def test_the_gradient_equals_finite_differences(guide):
    x = (0.2 + 0.6 * pictures(1, 6, 5)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: adverse_cleaner(y, guide=guide, rounds=3), (x,), fast_mode=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 5), (3, 2)])
def test_small_pictures_are_mirrored_about_their_outermost_pixels(shape):
    x = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    assert np.array_equal(_mirrored(x).numpy(), expected)
    assert _bilateral(x, 8 / 255).shape == x.shape


def test_nothing_to_do_gives_a_picture_of_its_own():
    x = pictures()
    y = adverse_cleaner(x, rounds=0, guided_rounds=0)
    assert torch.equal(x, y)
    assert y.data_ptr() != x.data_ptr()

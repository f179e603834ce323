"""Built-in criteria: values, regions, orientation."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity

NAMES = ["l1", "l2", "psnr", "ssim"]


@pytest.fixture
def kit(toolkit_from):
    return toolkit_from()


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    a = torch.rand(3, 3, 24, 24, generator=g)
    b = (a + 0.1 * torch.randn(a.shape, generator=g)).clamp(0, 1)
    masks = torch.rand(3, 4, 24, 24, generator=g).softmax(1)
    return a, b, masks


def whole(a):
    return torch.ones(len(a), 1, *a.shape[2:])


def test_metric_values_over_the_whole_image(kit, pair):
    a, b, _ = pair
    d = (a - b).double()
    for name, expected in [
        ("l1", d.abs().mean((1, 2, 3))),
        ("l2", d.square().mean((1, 2, 3)).sqrt()),
        ("psnr", -10 * d.square().mean((1, 2, 3)).log10()),
    ]:
        assert torch.allclose(kit.build("metric", name)(a, b, whole(a))[:, 0].double(), expected, rtol=1e-5)


def test_metric_ssim_matches_scikit_image(kit, pair):
    a, b, _ = pair
    values = kit.build("metric", "ssim")(a, b, whole(a))
    for i in range(len(a)):
        _, full = structural_similarity(
            a[i].numpy(), b[i].numpy(), channel_axis=0, data_range=1.0, gaussian_weights=True,
            sigma=1.5, use_sample_covariance=False, full=True,
        )  # fmt: skip
        assert float(values[i, 0]) == pytest.approx(full.mean(), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_metric_regions_are_separate(kit, pair, name):
    """Only the region that changed says so."""
    a, _, _ = pair
    left = whole(a)
    left[..., 12:] = 0
    b = a.clone()
    b[..., :6] = 1 - b[..., :6]
    metric = kit.build("metric", name)
    values = metric.distance(a, b, torch.cat([left, 1 - left], 1))
    assert values.shape == (3, 2)
    assert (values[:, 0] > 0.01).all()
    assert (values[:, 1] < 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
def test_metric_distance_is_zero_for_equal_images_and_grows(kit, pair, name):
    a, b, masks = pair
    metric = kit.build("metric", name)
    assert (metric.distance(a, a, masks).abs() < 2e-6).all()
    near, far = metric.distance(a, (a + b) / 2, masks), metric.distance(a, b, masks)
    assert (near > 1e-6).all()
    assert (far > near).all()
    assert metric.higher_is_better == (name in ("psnr", "ssim"))
    order = metric(a, b, masks) < metric(a, (a + b) / 2, masks)
    assert bool(order.all()) == metric.higher_is_better


@pytest.mark.parametrize("name", NAMES)
def test_metric_is_symmetric_and_per_image(kit, pair, name):
    a, b, masks = pair
    metric = kit.build("metric", name)
    values = metric(a, b, masks)
    assert torch.allclose(values, metric(b, a, masks), atol=1e-6)
    assert torch.equal(metric(a[1:2], b[1:2], masks[1:2]), values[1:2])
    assert torch.equal(metric(a.flip(0), b.flip(0), masks.flip(0)), values.flip(0))


@pytest.mark.parametrize("name", NAMES)
def test_metric_empty_region_and_gradient_are_finite(kit, pair, name):
    a, b, masks = pair
    masks[:, 0] = 0
    metric = kit.build("metric", name)
    assert metric(a, b, masks).isfinite().all()
    for other in (b, a):
        leaf = other.clone().requires_grad_()
        metric.distance(a, leaf, masks).sum().backward()
        assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("name", ["l1", "l2", "ssim"])
def test_metric_value_of_an_empty_region_is_zero(kit, pair, name):
    a, b, masks = pair
    masks[:, 0] = 0
    assert (kit.build("metric", name)(a, b, masks)[:, 0].abs() < 2e-6).all()

"""What every function of the package keeps: range, shape, no in-place edit, independence of the batch."""

from __future__ import annotations

import pytest
import torch

import magdr_core.functional as functional
from magdr_core.functional import (
    bilateral,
    bit_depth,
    down_up,
    flip,
    gaussian_blur,
    jpeg,
    least_ssim,
    mae,
    masked_mean,
    median_blur,
    mse,
    nlm,
    psnr,
    resize,
    resize_masks,
    shift,
    ssim,
    ssim_map,
    to_8bit,
    tv_denoise,
    unsharp,
)

SMOOTH = {
    "bilateral": lambda x: bilateral(x, 5, 0.1, 1.5),
    "down_up": lambda x: down_up(x, 0.75),
    "flip": flip,
    "gaussian_blur": lambda x: gaussian_blur(x, 1.0),
    "jpeg 4:2:0": lambda x: jpeg(x, 75),
    "jpeg 4:4:4": lambda x: jpeg(x, 75, subsampling="4:4:4"),
    "median 2": lambda x: median_blur(x, 2),
    "median 3": lambda x: median_blur(x, 3),
    "median 5": lambda x: median_blur(x, 5),
    "nlm": lambda x: nlm(x, 0.1),
    "resize": lambda x: resize(x, scale=1.3),
    "shift": lambda x: shift(x, 2, -1),
    "tv_denoise": lambda x: tv_denoise(x, 0.1, 10),
    "unsharp": lambda x: unsharp(x, 1.0, 1.5),
}
IMAGE = SMOOTH | {"bit_depth": lambda x: bit_depth(x, 4), "to_8bit": to_8bit}
MEASURES = {
    "least_ssim": lambda x: least_ssim(x, flip(x)),
    "mae": lambda x: mae(x, flip(x)),
    "masked_mean": lambda x: masked_mean(x, resize_masks(flip(x), tuple(x.shape[-2:]))),
    "mse": lambda x: mse(x, flip(x)),
    "psnr": lambda x: psnr(x, flip(x)),
    "ssim": lambda x: ssim(x, flip(x)),
    "ssim_map": lambda x: ssim_map(x, flip(x)),
}


@pytest.fixture(params=[(32, 32), (21, 35)], ids=["square", "odd"])
def batch(request, noisy):
    return noisy(5, *request.param)[1]


@pytest.mark.parametrize("name", IMAGE)
def test_images_stay_in_range_float32_and_finite(name, batch):
    y = IMAGE[name](batch)
    assert y.dtype == torch.float32
    assert (y.ndim, y.shape[:2]) == (4, batch.shape[:2])
    assert y.isfinite().all()
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("name", IMAGE)
def test_black_and_white_images_keep_their_colour(name):
    x = torch.stack([torch.zeros(3, 20, 18), torch.ones(3, 20, 18)])
    y = IMAGE[name](x)
    assert torch.allclose(y[0], torch.zeros(()), atol=1e-6)
    assert torch.allclose(y[1], torch.ones(()), atol=1e-6)
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("name", IMAGE | MEASURES)
def test_an_image_gets_the_same_bits_alone_and_in_a_batch(name, batch):
    function = (IMAGE | MEASURES)[name]
    whole = function(batch)
    alone = torch.cat([function(batch[i : i + 1]) for i in range(len(batch))])
    assert torch.equal(whole, alone)


@pytest.mark.parametrize("name", IMAGE | MEASURES)
def test_inputs_are_not_edited(name, batch):
    before = batch.clone()
    y = (IMAGE | MEASURES)[name](batch)
    assert torch.equal(batch, before)
    y.zero_()
    assert torch.equal(batch, before) or name == "shift"  # shift may return a view


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_finite_and_not_zero(name, batch):
    x = batch.clone().requires_grad_()
    y = SMOOTH[name](x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient.abs().flatten(1).max(1).values > 0).all()


@pytest.mark.parametrize("name", IMAGE | MEASURES)
def test_autocast_changes_nothing(name, batch):
    function = (IMAGE | MEASURES)[name]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = function(batch)
    assert torch.equal(inside, function(batch))


@pytest.mark.parametrize("name", IMAGE | MEASURES)
def test_no_value_is_read_back(name):
    """Tensors on the meta device have no values: what reads one, or goes by way of numpy, fails there."""
    y = (IMAGE | MEASURES)[name](torch.empty(3, 3, 32, 32, device="meta"))
    assert y.device.type == "meta"
    assert y.shape[0] == 3


def test_all_lists_every_public_name():
    assert sorted(functional.__all__) == list(functional.__all__)
    assert all(hasattr(functional, name) for name in functional.__all__)


@pytest.mark.parametrize("name", ["bilateral", "gaussian_blur", "nlm", "ssim_map"])
def test_gradients_equal_finite_differences(name, noisy):
    x = noisy(1, 12, 12)[1].double().clamp(0.05, 0.95).requires_grad_()
    assert torch.autograd.gradcheck((SMOOTH | MEASURES)[name], (x,), fast_mode=True)

from __future__ import annotations

import io
import math
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.functional import jpeg, psnr, quantisation_tables, to_8bit

PILLOW_SUBSAMPLING = {"4:4:4": 0, "4:2:0": 2}


def _encoded(image, quality, subsampling):
    array = (image * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=quality, subsampling=PILLOW_SUBSAMPLING[subsampling])
    return Image.open(io.BytesIO(file.getvalue()))


def _pillow(x, quality, subsampling):
    decoded = [np.array(_encoded(image, quality, subsampling).convert("RGB")) for image in x]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 95, 100])
def test_quantisation_tables_equal_pillows(photos, quality):
    file = _encoded(photos(1, 16, 16)[0], quality, "4:4:4")
    luminance, chrominance = quantisation_tables(quality)
    assert list(file.quantization[0]) == list(chain.from_iterable(luminance))
    assert list(file.quantization[1]) == list(chain.from_iterable(chrominance))


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("quality", [50, 75, 90, 95])
@pytest.mark.parametrize("size", [(64, 64), (128, 128), (96, 64)])
def test_jpeg_agrees_with_pillow(photos, size, quality, subsampling):
    x = photos(3, *size)
    ours, theirs = jpeg(x, quality, subsampling=subsampling), _pillow(x, quality, subsampling)
    assert psnr(ours, theirs).min() >= 50
    assert (ours == theirs).float().mean() > 0.95


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize(
    "size", [(63, 64), (64, 63), (61, 93), (16, 16), (17, 16), (23, 50), (24, 40), (8, 9), (9, 31)]
)
def test_jpeg_agrees_with_pillow_at_odd_sizes(photos, size, subsampling):
    x = photos(3, *size)
    ours, theirs = jpeg(x, 75, subsampling=subsampling), _pillow(x, 75, subsampling)
    assert psnr(ours, theirs).min() >= 45
    # Wrong borders would show there first.
    for edge in (np.s_[..., -1], np.s_[..., -1, :]):
        assert (ours[edge] - theirs[edge]).abs().mean() < 1 / 255


def test_jpeg_of_flat_colours_equals_pillow():
    levels = torch.randint(0, 256, (200, 3, 1, 1), generator=torch.Generator().manual_seed(0)).float() / 255
    x = levels.expand(-1, -1, 16, 16).contiguous()
    for quality in (30, 75, 95):
        assert torch.equal(jpeg(x, quality), _pillow(x, quality, "4:2:0"))


def test_jpeg_returns_8bit_images_in_range(noisy):
    y = jpeg(noisy(2, 33, 47)[1], 20)
    assert y.dtype == torch.float32
    assert torch.equal(y, to_8bit(y))


def test_jpeg_rounds_its_input_to_8_bits(photos):
    x = to_8bit(photos(1, 24, 24).clamp(0.01, 0.99))
    fuzz = (torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) - 0.5) * 0.9 / 255
    assert torch.equal(jpeg(x + fuzz, 75), jpeg(x, 75))


def test_lower_quality_loses_more(photos):
    x = photos(2, 64, 64)
    loss = torch.stack([psnr(jpeg(x, q), x) for q in (10, 30, 50, 75, 90, 100)])
    assert (loss.diff(dim=0) > 0).all()


def test_straight_through_gradient_at_444_is_nearly_the_identity(photos):
    # Rounding aside, colour transform and DCT undo themselves; the range is kept clear of clamping.
    x = (photos(1, 32, 24) * 0.5 + 0.25).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    y = jpeg(x, 75, subsampling="4:4:4", gradient="straight-through")
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert torch.allclose(gradient, weights, atol=1e-3)


def test_straight_through_gradient_at_420_keeps_the_luma(photos):
    x = (photos(1, 33, 21) * 0.5 + 0.25).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    y = jpeg(x, 75, gradient="straight-through")
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().mean() > 0.1
    # A grey change of the input is a grey change of the output: summed over channels the gradient passes.
    assert torch.allclose(gradient.sum(1), weights.sum(1), atol=1e-3)


@pytest.mark.parametrize(("r", "slope"), [(0.0, 0.2), (0.25, 1.0), (0.4, 1.647), (0.5, 1.8)])
def test_soft_gradient_is_the_slope_of_a_staircase(r, slope):
    # Grey, with one cosine at r of quality 50's coarsest luma steps.
    u, v = 6, 5
    row, column = (torch.cos((2 * torch.arange(8) + 1) * k * math.pi / 16) / 2 for k in (u, v))
    cosine = row[:, None] * column
    x = ((128 + 121 * r * cosine) / 255).expand(1, 3, 8, 8).clone().requires_grad_()
    (gradient,) = torch.autograd.grad((jpeg(x, 50) * cosine).sum(), x)
    assert float((gradient * cosine).sum()) / 3 == pytest.approx(slope, abs=0.03)


def test_what_follows_the_soft_gradient_survives_jpeg_where_the_identity_s_does_not(photos):
    clean = to_8bit(photos(1, 32, 32) * 0.8 + 0.1)
    direction = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))

    def left(gradient):
        x, momentum, most = clean, 0.0, 0.0
        for step in range(20):
            x = x.detach().requires_grad_()
            moved = ((jpeg(x, 50, gradient=gradient) - jpeg(clean, 50)) * direction).sum()
            (ascent,) = torch.autograd.grad(moved, x)
            momentum = 0.75 * momentum + ascent / ascent.abs().mean()
            x = x.detach() + momentum.sign() * (1 - step / 20) / 255
            x = (clean + (x - clean).clamp(-2 / 255, 2 / 255)).clamp(0, 1)
            most = max(most, float(moved.detach()))
        return most

    assert left("soft") > 1.5 * left("straight-through") > 0


def test_gradient_none_has_the_same_value_and_no_graph(photos):
    x = photos(1, 16, 16).requires_grad_()
    y = jpeg(x, 60, gradient="none")
    assert not y.requires_grad
    assert torch.equal(y, jpeg(x, 60).detach())


def test_wrong_jpeg_arguments_are_refused():
    x = torch.zeros(1, 3, 16, 16)
    for quality in (0, 101, 75.5):
        with pytest.raises(ValueError, match="quality"):
            jpeg(x, quality)
    with pytest.raises(ValueError, match="subsampling"):
        jpeg(x, 75, subsampling="4:2:2")
    with pytest.raises(ValueError, match="gradient"):
        jpeg(x, 75, gradient="smooth")
    with pytest.raises(ValueError, match="3 channels"):
        jpeg(x[:, :1], 75)

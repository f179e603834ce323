from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.functional import down_up, flip, psnr, resize, shift


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 31), (33, 21), (80, 70)])
def test_resize_equals_pillow(photos, mode, size):
    x = photos(1, 45, 62)
    ours = resize(x, size, mode=mode)
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[mode]
    for channel in range(3):
        plane = Image.fromarray(x[0, channel].numpy(), mode=None)
        reference = np.clip(np.array(plane.resize(size[::-1], method)), 0, 1)
        assert np.abs(ours[0, channel].numpy() - reference).max() < 1e-5


def test_resize_by_area_averages_blocks(photos):
    x = photos(2, 12, 18)
    expected = x.reshape(2, 3, 4, 3, 6, 3).mean((3, 5))
    assert torch.allclose(resize(x, (4, 6), mode="area"), expected, atol=1e-6)


def test_resize_nearest_takes_the_pixel_under_the_centre():
    x = torch.arange(9).reshape(1, 1, 1, 9) / 8
    assert torch.equal(resize(x, (1, 3), mode="nearest"), x[..., 1::3])


def test_resize_scale_rounds_both_sides(photos):
    x = photos(1, 45, 62)
    assert resize(x, scale=0.75).shape == (1, 3, 34, 46)
    assert resize(x, 16).shape == (1, 3, 16, 16)
    assert resize(x, scale=0.001).shape == (1, 3, 1, 1)


def test_resize_clamps_overshoot():
    x = torch.zeros(1, 3, 16, 16)
    x[..., 8:] = 1
    y = resize(x, (31, 31), mode="bicubic")
    assert (y.min(), y.max()) == (0, 1)


def test_down_up_keeps_the_size_and_loses_detail(photos):
    x = photos(2, 41, 30)
    mild, strong = down_up(x, 0.9), down_up(x, 0.3)
    assert mild.shape == strong.shape == x.shape
    assert (psnr(mild, x) > psnr(strong, x)).all()


def test_flip_is_its_own_inverse(photos):
    x = photos(1, 7, 10)
    assert torch.equal(flip(x)[..., 0], x[..., -1])
    assert torch.equal(flip(flip(x)), x)


def test_shift_on_a_hand_computed_image():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).reshape(1, 1, 2, 3)
    assert shift(x, 1, 0)[0, 0].tolist() == [[1, 1, 2], [4, 4, 5]]
    assert shift(x, -2, 0)[0, 0].tolist() == [[3, 3, 2], [6, 6, 5]]
    assert shift(x, 0, 1)[0, 0].tolist() == [[1, 2, 3], [1, 2, 3]]
    assert shift(x, 1, -1)[0, 0].tolist() == [[4, 4, 5], [4, 4, 5]]


@pytest.mark.parametrize(("dx", "dy"), [(3, -2), (-1, 4), (0, 0), (25, 0)])
def test_shift_equals_a_symmetric_pad_and_crop(photos, dx, dy):
    x = photos(2, 11, 9)
    pad = 30
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    expected = wide[..., pad - dy : pad - dy + 11, pad - dx : pad - dx + 9]
    assert np.array_equal(shift(x, dx, dy).numpy(), expected)


def test_shift_back_restores_the_inside(photos):
    x = photos(1, 20, 24)
    assert torch.equal(shift(shift(x, 3, -2), -3, 2)[..., 2:, :-3], x[..., 2:, :-3])


def test_wrong_resample_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: resize(x), "either size or scale"),
        (lambda: resize(x, 4, scale=0.5), "either size or scale"),
        (lambda: resize(x, (0, 4)), "at least 1x1"),
        (lambda: resize(x, 0), "at least 1x1"),
        (lambda: resize(x, scale=-1.0), "scale"),
        (lambda: resize(x, 4, mode="lanczos"), "mode"),
        (lambda: down_up(x, 0.0), "scale"),
        (lambda: shift(x, 0.5, 0), "whole pixels"),
        (lambda: flip(x[0]), "B,C,H,W"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

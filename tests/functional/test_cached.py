"""Parts that fit in a CPU's cache: the same bits, each image once, and nothing else changes."""

import inspect

import pytest
import torch
from magdr_plugins.metrics.structure import gradient

from magdr_core.functional import (
    bilateral,
    dct_threshold,
    guided_filter,
    in_cache,
    median_blur,
    richardson_lucy,
    ssim_map,
    tv_denoise,
)
from magdr_core.functional.cache_blocked import PIXELS


def images(n, height=64, width=64, channels=3, seed=0):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: bilateral(x, 5, 0.1, 1.5),
        lambda x: dct_threshold(x, 0.1, block=4),
        lambda x: guided_filter(x, 2, 0.01),
        lambda x: median_blur(x, 5),
        lambda x: richardson_lucy(x, 1.0, 2),
        lambda x: ssim_map(x, b=x.flip(-1)),
        lambda x: tv_denoise(x, 0.05, 4),
        lambda x: gradient(x, x.flip(-1), images(len(x), channels=4, seed=1)),
    ],
)
def test_a_batch_in_parts_has_the_bits_of_the_whole(function):
    x = images(7)
    assert x[:, 0].numel() > PIXELS, "or it would go in one part"
    whole = function(x.clone().requires_grad_(True)).detach()  # with gradients nothing is split
    assert torch.equal(function(x), whole)


def parts_of(x, *args, **kwargs):
    """The sizes of the parts, and what comes back."""
    seen = []

    def twice(x, other=None, factor=2.0):
        seen.append((len(x), None if other is None else len(other)))
        return x * factor if other is None else x * factor + other

    y = in_cache(twice)(x, *args, **kwargs)
    return seen, y


def test_parts_hold_a_fixed_number_of_pixels():
    assert [n for n, _ in parts_of(images(9))[0]] == [4, 4, 1]
    assert [n for n, _ in parts_of(images(3, 128, 128))[0]] == [1, 1, 1]
    assert [n for n, _ in parts_of(images(2, 256, 256))[0]] == [1, 1]
    assert [n for n, _ in parts_of(images(9, 8, 8))[0]] == [9]
    assert [n for n, _ in parts_of(images(0))[0]] == [0]


def test_every_batched_argument_is_split_alike():
    x, other = images(6), images(6, seed=1)
    for call in (parts_of(x, other, 3.0), parts_of(x, other=other, factor=3.0)):
        seen, y = call
        assert seen == [(4, 4), (2, 2)]
        assert torch.equal(y, x * 3.0 + other)


def test_nothing_is_split_with_gradients():
    assert [n for n, _ in parts_of(images(9).requires_grad_(True))[0]] == [9]
    assert [n for n, _ in parts_of(images(9), images(9).requires_grad_(True))[0]] == [9]
    with torch.no_grad():
        assert [n for n, _ in parts_of(images(9).requires_grad_(True))[0]] == [4, 4, 1]


def test_the_signature_stays():
    assert list(inspect.signature(tv_denoise).parameters) == ["x", "weight", "steps"]
    assert "Chambolle" in tv_denoise.__doc__

"""Winograd's 3x3 convolution against the direct sum in float64."""

import pytest
import torch
import torch.nn.functional as F

from magdr_core.functional import winograd_conv3x3, winograd_filters


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def both(weight):
    return winograd_filters(weight), winograd_filters(weight.transpose(0, 1).flip(2, 3))


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 4, 4), (3, 8, 12), (2, 32, 16)])
def test_it_agrees_with_the_direct_sum(batch, height, width):
    x, weight = drawn(batch, 24, height, width), drawn(40, 24, 3, 3, seed=1)
    direct = F.conv2d(x.double(), weight.double(), padding=1)
    got = winograd_conv3x3(x, *both(weight))
    assert got.shape == direct.shape
    assert (got - direct).abs().max() < 1e-5 * direct.abs().max()


def test_its_gradient_agrees_with_the_direct_one():
    x, weight, pull = drawn(2, 24, 8, 8), drawn(40, 24, 3, 3, seed=1), drawn(2, 40, 8, 8, seed=2)

    def gradient(conv, x, pull):
        x = x.clone().requires_grad_(True)
        return torch.autograd.grad((conv(x) * pull).sum(), x)[0]

    direct = gradient(lambda x: F.conv2d(x, weight.double(), padding=1), x.double(), pull.double())
    got = gradient(lambda x: winograd_conv3x3(x, *both(weight)), x, pull)
    assert (got - direct).abs().max() < 1e-5 * direct.abs().max()


def test_an_image_is_the_same_in_any_batch():
    x, weight = drawn(5, 24, 8, 8), drawn(40, 24, 3, 3, seed=1)
    filters = both(weight)
    together = winograd_conv3x3(x, *filters)
    alone = torch.cat([winograd_conv3x3(one[None], *filters) for one in x])
    assert (together - alone).abs().max() < 1e-5 * together.abs().max()


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        winograd_conv3x3(drawn(1, 2, 6, 8), *both(drawn(2, 2, 3, 3)))
    with pytest.raises(ValueError, match=r"\[K,C,3,3\]"):
        winograd_filters(drawn(2, 2, 5, 5))
    with pytest.raises(ValueError, match="channels"):
        winograd_conv3x3(drawn(1, 3, 8, 8), *both(drawn(2, 2, 3, 3)))

"""Wide convolutions with few outputs, column by column, against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from magdr_core.functional import column_filters, conv_by_columns


def case(shape, outputs, height, width, seed=0):
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, shape[1], height, width, generator=g) / (height * width)
    return torch.randn(*shape, generator=g), weight


@pytest.mark.parametrize(("outputs", "height", "width"), [(3, 7, 7), (1, 3, 5), (4, 2, 6), (3, 1, 1)])
def test_it_agrees_with_the_direct_sum(outputs, height, width):
    x, weight = case((2, 5, 9, 12), outputs, height, width)
    found, wanted = conv_by_columns(x, column_filters(weight), width), F.conv2d(x, weight)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, atol=1e-5)


def test_its_gradient_agrees_with_the_direct_one():
    x, weight = case((1, 4, 10, 10), 3, 7, 7)
    x.requires_grad_(True)
    filters = column_filters(weight)
    found = torch.autograd.grad(conv_by_columns(x, filters, 7).square().sum(), x)[0]
    wanted = torch.autograd.grad(F.conv2d(x, weight).square().sum(), x)[0]
    assert torch.allclose(found, wanted, atol=1e-5)


def test_filters_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[K,C,h,w\]"):
        column_filters(torch.zeros(3, 7, 7))
    with pytest.raises(ValueError, match="channels"):
        conv_by_columns(torch.zeros(1, 2, 8, 8), column_filters(torch.zeros(3, 4, 7, 7)), 7)

"""Black and white pixels have a gradient, whatever torch's own clamp thinks of its bounds."""

import pytest
import torch

from magdr_core.functional import clamp_inclusive, project_linf
from tests.functional.test_contract import SMOOTH


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 0.25), (0.0, 255.0)])
def test_values_are_those_of_clamp_with_and_without_a_gradient(low, high):
    x = torch.linspace(-3, 300, 1000)
    x[:3] = torch.tensor([low, high, torch.nan])
    for given in (x, x.clone().requires_grad_()):
        found = clamp_inclusive(given, low, high).detach()
        assert torch.equal(found.nan_to_num(-9.0), x.clamp(low, high).nan_to_num(-9.0))


def test_the_gradient_passes_inside_and_at_both_ends_and_not_outside():
    x = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1], requires_grad=True)
    (gradient,) = torch.autograd.grad(clamp_inclusive(x).sum(), x)
    assert gradient.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_a_projection_passes_the_gradient_of_pixels_at_the_ends_of_the_range():
    x = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(project_linf(x, x.detach(), 0.1).sum(), x)
    assert gradient.flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_pictures_have_a_gradient_through_every_filter(name, level):
    x = torch.full((1, 3, 16, 16), level, requires_grad=True)
    y = SMOOTH[name](x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient != 0).any()

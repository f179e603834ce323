"""The purifier's network; what its shipped weights reach is on their cards."""

import pytest
import torch

from magdr_core.errors import MagdrError

REGISTRY = '[restoration.purifier]\nparams = { weights = "random", width = 8 }\n'


@pytest.fixture
def purifier(toolkit_from):
    return toolkit_from(REGISTRY).build("restoration", "purifier")


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (5, 6)])
def test_any_size_comes_out_as_it_went_in(purifier, size):
    x = torch.rand(2, 3, *size)
    y = purifier(x)
    assert y.shape == x.shape
    assert y.min() >= 0
    assert y.max() <= 1


def test_an_untrained_one_is_near_the_identity_but_not_at_it(purifier):
    x = 0.25 + torch.rand(4, 3, 32, 32) / 2
    change = (purifier(x) - x).abs().mean()
    assert 0 < change < 0.1


def test_its_gradient_reaches_the_image(purifier):
    x = (0.3 + 0.4 * torch.rand(1, 3, 16, 16)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(purifier(x).sum(), x)
    assert gradient.abs().mean() > 0.1


def test_weights_of_another_width_are_refused_by_name(toolkit_from, tmp_path):
    from safetensors.torch import save_file

    net = toolkit_from(REGISTRY).build("restoration", "purifier").component
    save_file(net.state_dict(), str(tmp_path / "w.safetensors"))
    kit = toolkit_from('[restoration.purifier]\nparams = { weights = "./w.safetensors", width = 16 }\n')
    with pytest.raises(MagdrError, match=r"down\.0\.0\.weight"):
        kit.build("restoration", "purifier")

"""Muon on the inner convolutions, Adam on the rest."""

import pytest
import torch
from torch import nn

from magdr_core.train.optimiser import NetOptimiser


def net(channels_last):
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(24, 16, 4),
        nn.Conv2d(16, 3, 3),
    )
    return layers.to(memory_format=torch.channels_last) if channels_last else layers


def test_inner_convolutions_go_to_muon_and_the_rest_to_adam():
    model = net(False)
    optimiser = NetOptimiser(model, 1e-3)
    muon = sum(p.numel() for g in optimiser.parts["muon"].param_groups for p in g["params"])
    adam = sum(p.numel() for g in optimiser.parts["adam"].param_groups for p in g["params"])
    assert muon == model[2].weight.numel() + model[4].weight.numel()
    assert muon + adam == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_update_of_an_inner_convolution_is_an_orthogonal_matrix(channels_last):
    model = net(channels_last)
    before = model[2].weight.detach().clone()
    NetOptimiser(model, 1e-3, muon_lr=0.1).step(model(torch.randn(4, 3, 12, 12)).square().mean())
    update = ((before - model[2].weight.detach()) / 0.1).permute(0, 2, 3, 1).flatten(1)
    singular = torch.linalg.svdvals(update)
    # Newton-Schulz in bfloat16 brings them near 1, not to it.
    assert singular.min() > 0.4
    assert singular.max() < 1.5


def test_the_memory_format_does_not_change_the_step():
    x = torch.randn(4, 3, 12, 12)
    weights = []
    for channels_last in (False, True):
        model = net(channels_last)
        optimiser = NetOptimiser(model, 1e-3)
        for _ in range(3):
            optimiser.step(model(x).square().mean())
        weights.append(model[2].weight.detach().clone())
    assert torch.allclose(weights[0], weights[1], atol=5e-3)


def test_it_learns_faster_than_adam_alone():
    x = torch.randn(16, 3, 12, 12)
    teacher = net(False)
    losses = {}
    for muon_lr in (None, 0.02):
        torch.manual_seed(1)
        model = nn.Sequential(
            *(
                type(m)(m.in_channels, m.out_channels, m.kernel_size) if hasattr(m, "weight") else nn.ReLU()
                for m in teacher
            )
        )
        optimiser = NetOptimiser(model, 1e-3, muon_lr=muon_lr)
        for _ in range(60):
            loss = (model(x) - teacher(x).detach()).square().mean()
            optimiser.step(loss)
        losses[muon_lr] = float(loss.detach())
    assert losses[0.02] < losses[None]

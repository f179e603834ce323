"""Masked reconstruction: masks that cover, and pixels that never see themselves."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.networks.recovery import RecoveryUNet
from magdr_plugins.restorations.masked_autoencoder import SHARES, MaskedAutoencoder

from magdr_core.components.rng import SampleRng


def net(**settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MaskedAutoencoder(width=8, **settings).eval().requires_grad_(False)


def pictures(n=2, height=16, width=16):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("block", [1, 3, 8])
def test_masks_hide_every_pixel_once_in_whole_squares(parts, block):
    masks = net(parts=parts, block=block).masks(pictures(2, 18, 20))
    assert len(masks) == parts
    assert torch.equal(sum(masks), torch.ones(2, 1, 18, 20))
    for i in range(0, 18, block):
        for j in range(0, 20, block):
            inside = torch.stack([m[0, 0, i : i + block, j : j + block] for m in masks])
            assert inside.flatten(1).amax(1).sum() == 1, "a square is hidden as a whole"


@pytest.mark.parametrize("parts", [2, 4])
def test_a_square_never_enters_its_own_estimate(parts):
    model = net(parts=parts, block=4)
    x = pictures(1).requires_grad_()
    y = model(x)
    for top, left in ((0, 0), (4, 8), (12, 12)):
        here = (..., slice(top, top + 4), slice(left, left + 4))
        (g,) = torch.autograd.grad(y[here].sum(), x, retain_graph=True)
        assert g[here].abs().max() == 0
        assert g.abs().max() > 0


def test_the_picture_is_put_together_from_the_hidden_parts():
    model, x = net(block=2), pictures()
    expected = torch.zeros_like(x)
    for mask in model.masks(x):
        made, _ = RecoveryUNet.forward(model, x, mask)
        expected = torch.where(mask > 0, made.clamp(0, 1), expected)
    assert torch.allclose(model(x), expected, atol=1e-6)


def test_kept_is_the_received_picture():
    x = pictures()
    whole, half, none = (net(keep=k)(x) for k in (1.0, 0.5, 0.0))
    assert torch.equal(whole, x)
    assert torch.allclose(half, (x + none) / 2, atol=1e-6)


def test_the_gradient_equals_finite_differences():
    model = net(block=2).double()
    x = (0.2 + 0.6 * pictures(1, 8, 8)).double().requires_grad_()
    assert torch.autograd.gradcheck(model, (x,), fast_mode=True)


def test_training_masks_are_squares_of_a_drawn_side_and_share():
    ids = [str(i) for i in range(64)]
    mask = MaskedAutoencoder.draw_mask(torch.zeros(64, 12, 32, 32), SampleRng(0, "test", ids))
    assert mask.shape == (64, 1, 32, 32)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert SHARES[0] < float(mask.mean()) < SHARES[1]
    whole = {
        side: torch.tensor(
            [
                all(len(b.unique()) == 1 for r in m.split(side, 1) for b in r.split(side, 2))
                for m in mask[:, 0, None]
            ]
        )
        for side in (2, 4, 8)
    }
    assert whole[2].all()
    assert 0.4 < float(whole[4].float().mean()) < 0.95
    assert 0.1 < float(whole[8].float().mean()) < 0.6
    again = MaskedAutoencoder.draw_mask(torch.zeros(2, 12, 32, 32), SampleRng(0, "test", ids[5:7]))
    assert torch.equal(again, mask[5:7])


def test_the_shipped_weights_recover_more_than_colours(toolkit_from):
    """They learned from masks of another kind; docs/purifiers.md says how far off they are."""
    kit = toolkit_from(
        '[dataset.faces]\nuse = "procedural-faces"\nparams = { size = 64 }\n'
        '[restoration.masked]\nuse = "masked-autoencoder"\n'
    )
    x = kit.build("dataset", "faces").split("test")[list(range(500, 504))].images
    off = (kit.build("restoration", "masked")(x) - x).square().mean().sqrt()
    assert off < 0.8 * (x.mean((2, 3), keepdim=True) - x).square().mean().sqrt()
    assert off == pytest.approx(0.0975, abs=0.005)

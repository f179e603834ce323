"""Training of recovery in miniature: real faces alone, and masked pixels alone."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.forensics._recovery import RecoveryNet
from magdr_plugins.forensics._recovery_transformer import RecoveryTransformer, positions

from magdr_core.train.recovering import RecoveringTrainer
from tests.train.forensic_world import context, seeded


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    net = seeded(lambda: RecoveryNet(width=8))
    trainer = RecoveringTrainer(
        context(tmp_path_factory.mktemp("recover"), net, {"spread": 0.01}, batch=8, lr=5e-3)
    )
    return trainer, [trainer.step(i) for i in range(60)]


def test_recovering_teaches_what_is_behind_the_mask_and_how_sure_that_is(trained):
    trainer, losses = trained
    first, last = (sum(x["rms"] for x in part) for part in (losses[:10], losses[-10:]))
    assert last < 0.8 * first
    assert losses[-1]["surprise"] < losses[0]["surprise"]
    quality = trainer.evaluate()
    assert quality["rms"] < quality["rms_of_the_mean"]
    assert -1 <= quality["foretold"] <= 1


def test_recovering_is_shown_real_faces_and_their_parts_and_nothing_else(trained):
    trainer, _ = trained
    assert set(trainer.context.drawn_once(dict)) == {"images", "parts"}
    split = trainer.context.split[range(32)]
    assert torch.equal(trainer.images, (split.images * 255).round().byte())


def test_the_loss_is_the_error_of_masked_pixels_alone(tmp_path):
    """A network that is right behind the mask and wrong elsewhere has no loss."""

    class Right(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(1))
            self.masks = []

        draw_mask = staticmethod(RecoveryNet.draw_mask)

        def forward(self, x, mask):
            self.masks.append(mask)
            return torch.where(mask > 0, x, 0.0) + self.shift, 0 * x[:, :1] + self.shift

    net = Right()
    trainer = RecoveringTrainer(context(tmp_path, net, {"spread": 0.0}, batch=8))
    assert trainer.step(0)["rms"] == 0
    assert (net.masks[0].mean((1, 2, 3)) > 0).all()


def test_how_well_the_error_is_foretold_takes_no_part_in_what_is_recovered(trained):
    """Nothing but its own layer learns from it."""
    trainer, _ = trained
    net = trainer.net
    net.zero_grad()
    x, parts = trainer.images[:4].float() / 255, trainer.parts[:4].float() / 255
    mask = RecoveryNet.passes(parts)[0]
    made, log_variance = net(x, mask)
    error = (made - x).square().mean(1, keepdim=True).detach()
    (error * (-log_variance).exp() + log_variance).sum().backward()
    learning = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert learning == {"spread.weight", "spread.bias"}


# -- the masked auto-encoder ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transformer():
    net = seeded(lambda: RecoveryTransformer(width=32)).eval()
    torch.nn.init.normal_(net.hidden, generator=torch.Generator().manual_seed(1))
    return net


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (48, 72)])
def test_a_masked_auto_encoder_does_not_look_behind_the_mask(transformer, size):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 1, *size)
    mask[..., :16, 8:24] = 1
    other = torch.where(mask > 0, torch.rand(x.shape), x)
    for a, b in zip(transformer(x, mask), transformer(other, mask), strict=True):
        assert a.shape[2:] == torch.Size(size)
        assert torch.equal(a, b)


def test_a_masked_auto_encoder_looks_at_all_that_is_visible(transformer):
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:32, 16:32] = 1
    made, _ = transformer(x, mask)
    (slope,) = torch.autograd.grad(made[..., 16:32, 16:32].square().sum(), x)
    seen = slope.abs().sum(1, keepdim=True)
    assert (seen[mask > 0] == 0).all()
    assert (seen[mask == 0] > 0).float().mean() > 0.99


def test_a_wholly_masked_picture_is_still_answered(transformer):
    made, spread = transformer(torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    assert made.isfinite().all()
    assert spread.isfinite().all()


def test_no_two_places_look_alike():
    places = positions(8, 8, torch.zeros(32))
    assert places.shape == (64, 32)
    assert torch.cdist(places, places).fill_diagonal_(9).min() > 0.1


def test_a_masked_auto_encoder_learns_to_recover(tmp_path):
    net = seeded(lambda: RecoveryTransformer(width=32))
    trainer = RecoveringTrainer(context(tmp_path, net, {"spread": 0.01}, batch=8, lr=3e-3))
    losses = [trainer.step(i)["rms"] for i in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])

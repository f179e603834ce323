"""The anti-adversary layer: steps towards agreeing outputs, inside a ball, the identity's gradient."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.defenses.anti_adversary import AntiAdversary

from magdr_core.components.batch import Condition

TABLES = """
[augmentation.flip]
[augmentation.soft]
use = "gaussian-blur"

[defense.layer]
use = "anti-adversary"
params = { augmentations = ["flip"], steps = 6 }
"""


class Mean:
    """Replaces a picture by the mean of its rows: disagrees wherever rows differ."""

    def __call__(self, x):
        return x.mean(2, keepdim=True).expand_as(x)

    def undo(self, y):
        return y


class Mirror:
    def __call__(self, x):
        return x.flip(3)

    def undo(self, y):
        return y.flip(3)


def same(x, c):
    return x


def pictures(n=2, side=8):
    return 0.2 + 0.6 * torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def layer(f=Mean, **params):
    return AntiAdversary(augmentations=[f()], **params)


def test_the_disagreement_is_the_mean_squared_difference_with_the_geometry_undone():
    x = pictures()
    expected = (x - x.mean(2, keepdim=True)).square().mean((1, 2, 3))
    assert torch.allclose(layer().disagreement(x, None, same), expected)
    # What commutes with a mirror image agrees with it, whatever the picture.
    assert layer(Mirror).disagreement(x, None, same).max() == 0
    both = AntiAdversary(augmentations=[Mean(), Mirror()])
    assert torch.allclose(both.disagreement(x, None, same), expected / 2)


def test_steps_make_outputs_agree_and_stay_in_the_ball():
    x = pictures()
    near = layer(steps=20, step=2 / 255, radius=8 / 255)
    y = near(x, None, same)
    assert (near.disagreement(y, None, same) < 0.8 * near.disagreement(x, None, same)).all()
    assert (y - x).abs().max() <= 8 / 255 + 1e-6
    assert (y - x).abs().max() > 7 / 255


def test_the_first_step_is_the_sign_of_the_gradient():
    x = pictures().double()
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad((leaf - leaf.mean(2, keepdim=True)).square().mean((1, 2, 3)).sum(), leaf)
    y = layer(steps=1, step=3 / 255)(x, None, same)
    assert torch.allclose(y, x - 3 / 255 * g.sign())


def test_the_pull_back_holds_it_near():
    x = pictures()
    free, held = (layer(steps=20, stay=s)(x, None, same) for s in (0.0, 50.0))
    assert (held - x).square().mean() < 0.2 * (free - x).square().mean()


def test_a_picture_that_agrees_already_is_left_alone():
    x = (pictures()[:, :, :1] * 256).round().div(256).expand(-1, -1, 8, -1).contiguous()
    assert torch.equal(layer(steps=10)(x, None, same), x)


def test_the_gradient_is_the_identitys():
    x = pictures().requires_grad_()
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    (g,) = torch.autograd.grad((layer(steps=3)(x, None, same) * weights).sum(), x)
    assert torch.equal(g, weights)


@pytest.mark.parametrize("label", ["flip"])
def test_it_runs_on_a_generator_with_cores_augmentations(toy, label):
    kit = toy(TABLES)
    d, G, x = kit.build("defense", "layer"), kit.generator("toy"), pictures()
    c = Condition(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool))
    y = d(x, c, G)
    f = kit.build("augmentation", label)

    def apart(z):
        return (f.undo(G(f(z), c)) - G(z, c)).square().mean()

    assert apart(y) < apart(x)
    assert G.take_passes() >= 2 * 6 * len(x)

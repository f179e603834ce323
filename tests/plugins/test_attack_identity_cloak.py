"""Identity cloaks: encoders no longer recognise the face, within the bound, and whatever the generator is."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks._block_dct import KEPT, lowpass
from magdr_plugins.attacks.identity_cloak import LOOKS, IdentityCloak, Recognition
from scipy.fft import dctn
from torch import nn
from torch.nn import functional as F

from magdr_core.errors import RegistryError
from magdr_core.functional import resize
from tests.plugins.disruptor_case import (
    check_inside,
    check_repeatable_and_per_image,
    faces,
    noise,
    rng_of,
    run,
)

EPS = 4 / 255


class Encoder:
    """A small random network to directions."""

    size, dimension = 16, 12

    def __init__(self, seed):
        draw = torch.Generator().manual_seed(seed)
        self.first = torch.randn(8, 3, 3, 3, generator=draw)
        self.first = self.first - self.first.mean((1, 2, 3), keepdim=True)
        self.last = torch.randn(self.dimension, 8 * 64, generator=draw) / 20

    def __call__(self, x):
        y = torch.tanh(4 * F.conv2d(resize(x, self.size, mode="bilinear"), self.first, stride=2, padding=1))
        each = [F.linear(one.flatten()[None], self.last) for one in y]  # the same bits in any batch
        return F.normalize(torch.cat(each))


def encoders(count=2):
    return [Encoder(seed) for seed in range(count)]


def cosines(x, x_hat, found):
    return torch.stack([(e(x) * e(x_hat)).sum(1) for e in found], 1)


def test_encoders_recognise_a_cloaked_face_far_less_than_a_noisy_one():
    x = faces()
    x_hat = run(IdentityCloak(encoders=encoders(), eps=EPS, steps=25), x)
    cloaked, noisy = cosines(x, x_hat, encoders()), cosines(x, noise(x, EPS), encoders())
    assert (1 - cloaked > 1.5 * (1 - noisy)).all()
    assert (1 - cloaked).mean() > 8 * (1 - noisy).mean()


def test_an_encoder_that_still_recognises_the_face_counts_most():
    x = faces()
    found = Recognition(encoders(), [LOOKS["plain"]], x)
    near = x + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    loss, uphill = found.gradient(near)
    seen = cosines(x, near, encoders())
    assert torch.allclose(loss, -seen.mean(1), atol=1e-5)
    weights = (seen / 0.1).softmax(1)
    moved = near.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad((weights * cosines(x, moved, encoders())).sum(), moved)
    assert torch.allclose(uphill, -slope, atol=1e-5)


def test_the_cloak_holds_in_the_mirror_and_at_the_size_of_swappers():
    x = faces()
    wide, narrow = (
        run(IdentityCloak(encoders=encoders(), eps=EPS, steps=20, eot=e), x) for e in (True, False)
    )
    for look in ("mirrored", "nearest"):
        f = LOOKS[look]
        ours, theirs = (cosines(f(x), f(one), encoders()).mean() for one in (wide, narrow))
        assert ours < theirs + 0.02
    assert (
        cosines(x.flip(-1), wide.flip(-1), encoders()).mean()
        < cosines(x.flip(-1), narrow.flip(-1), encoders()).mean()
    )


def test_it_asks_nothing_of_the_generator():
    x = faces(2)
    cloak = IdentityCloak(encoders=encoders(), steps=3)
    assert torch.equal(cloak(x, None, rng=rng_of(2)), run(cloak, x))


@pytest.mark.parametrize("eps", [0.0, 0.025, 1.0])
@pytest.mark.parametrize("low", [False, True])
def test_it_stays_in_its_ball(eps, low):
    x = faces()
    check_inside(run(IdentityCloak(encoders=encoders(), eps=eps, steps=3, lowpass=low), x), x, eps)


@pytest.mark.parametrize("low", [False, True])
def test_it_is_repeatable_and_per_image(low):
    check_repeatable_and_per_image(IdentityCloak(encoders=encoders(), steps=4, lowpass=low), faces())


def test_a_low_pass_keeps_the_lowest_cosines_of_each_block():
    delta = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    kept = lowpass(delta)
    assert sum(KEPT) == 25
    for top in (0, 8):
        for left in (0, 8, 16):
            before, after = (
                dctn(d[:, :, top : top + 8, left : left + 8].double().numpy(), axes=(2, 3), norm="ortho")
                for d in (delta, kept)
            )
            for row, count in enumerate(KEPT):
                same = after[:, :, row, :count] - before[:, :, row, :count]
                assert abs(same).max(initial=0) < 1e-5
                assert abs(after[:, :, row, count:]).max(initial=0) < 1e-5
    assert lowpass(delta[:, :, :13, :21]).shape == (2, 3, 13, 21)


def test_a_low_passed_cloak_has_less_of_the_high_frequencies():
    x = faces()
    shares = []
    for low in (True, False):
        delta = run(IdentityCloak(encoders=encoders(), eps=8 / 255, steps=10, lowpass=low), x) - x
        shares.append((delta - lowpass(delta)).square().sum() / delta.square().sum())
    assert shares[0] < 0.6 * shares[1]


def test_encoders_have_to_be_named(toy):
    with pytest.raises(RegistryError, match="needs encoders: a list of identity_encoder labels"):
        toy("[attack.identity-cloak]\n").build("attack", "identity-cloak")


def test_a_network_of_the_kind_is_attacked_through_its_guard(toy):
    kit = toy(
        """
[identity_encoder.a]
use = "identity-net"
params = { weights = "random" }

[attack.identity-cloak]
params = { encoders = ["a"], steps = 3 }
"""
    )
    x = faces(2, side=32)
    attack, encoder = kit.build("attack", "identity-cloak"), kit.build("identity_encoder", "a")
    x_hat = attack(x, None, rng=kit.rng("cloak", ["a", "b"]))
    check_inside(x_hat, x, 4 / 255)
    assert ((encoder(x) * encoder(x_hat)).sum(1) < (encoder(x) * encoder(noise(x, 4 / 255))).sum(1)).all()
    assert all(not p.requires_grad for p in nn.Module.parameters(encoder.component))

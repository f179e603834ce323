"""Disruption through channels: what is left of it there, and which channels there are."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks._channels import QUALITIES, _drawn, channel, numbers
from magdr_plugins.attacks.channel_eot import ChannelEOT, _Received
from magdr_plugins.attacks.pgd import PGD

from magdr_core.errors import RegistryError
from magdr_core.functional import down_up, gaussian_blur, jpeg
from tests.plugins.disruptor_case import aim, check_inside, check_repeatable_and_per_image, faces, run

CHANNELS = {
    "jpeg:50": lambda x: jpeg(x, 50),
    "resize:0.5": lambda x: down_up(x, 0.5),
    "blur:1": lambda x: gaussian_blur(x, 1.0),
}
every = pytest.mark.parametrize("name", CHANNELS)
EPS = 8 / 255


def left(x, x_hat, f):
    """The disruption behind a channel, against what the channel alone does to the clean image's output."""
    return aim(x).preprocessed(f)(x_hat)


@every
def test_more_is_left_behind_the_channel_that_it_was_made_for_than_of_pgd(name):
    x = faces()
    ours = run(ChannelEOT(channels=(name,), eps=EPS, steps=20), x)
    plain = run(PGD(eps=EPS, steps=20), x)
    f = CHANNELS[name]
    assert (left(x, ours, f) > 1.1 * left(x, plain, f)).all()


@pytest.mark.parametrize("draws", [0, 1, 2])
def test_it_survives_every_channel_of_its_list_better_than_pgd(draws):
    x = faces()
    names = ("none", *CHANNELS)
    ours = run(ChannelEOT(channels=names, draws=draws, eps=EPS, steps=32), x)
    plain = run(PGD(eps=EPS, steps=32), x)
    ways = [lambda x: x, *CHANNELS.values()]
    found, other = (torch.stack([left(x, one, f) for f in ways]).mean(0) for one in (ours, plain))
    assert (found > 1.05 * other).all()


@pytest.mark.parametrize("eps", [0.0, 0.025, 1.0])
@pytest.mark.parametrize("draws", [0, 1])
def test_it_stays_in_its_ball(eps, draws):
    x = faces()
    check_inside(run(ChannelEOT(eps=eps, steps=3, draws=draws), x), x, eps)


@pytest.mark.parametrize("draws", [0, 1])
def test_it_is_repeatable_and_per_image(draws):
    check_repeatable_and_per_image(ChannelEOT(steps=4, draws=draws), faces())


def test_without_a_channel_it_is_pgd():
    x = faces()
    assert torch.equal(run(ChannelEOT(channels=("none",), steps=6), x), run(PGD(steps=6), x))


def test_draws_go_through_the_channels_in_turn():
    x, seen = faces(1), []

    class Spy:
        def __init__(self, inner):
            self.inner = inner

        def preprocessed(self, f):
            seen.append(f(x))
            return self.inner.preprocessed(f)

    from tests.plugins.disruptor_case import rng_of

    ChannelEOT(channels=tuple(CHANNELS), draws=2, steps=3)(x, Spy(aim(x)), rng=rng_of(1))
    expected = [f(x) for f in CHANNELS.values()] * 2
    assert len(seen) == 6
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_channels_of_the_registry_are_among_them(toy):
    kit = toy(
        """
[channel.half]
use = "resize"
params = { scale = 0.5 }

[channel.networks]
use = "jpeg-mix"

[attack.channel-eot]
params = { channels = ["none"], registered = ["half", "networks"], eps = "8/255", steps = 20 }

[attack.pgd]
params = { eps = "8/255", steps = 20 }
"""
    )
    x = faces()
    ours, plain = (
        kit.build("attack", label)(x, aim(x), rng=kit.rng("a", list("abcd")))
        for label in ("channel-eot", "pgd")
    )
    half = kit.build("channel", "half")
    found, other = (aim(x)(half(one)) for one in (ours, plain))
    assert (found > 1.05 * other).all()
    alone = kit.build("attack", "channel-eot")(x[2:3], aim(x[2:3]), rng=kit.rng("a", ["c"]))
    assert torch.equal(alone[0], ours[2]), "each image's own draws"


def test_a_channel_of_the_registry_is_followed_by_its_soft_form(toy):
    kit = toy(
        """
[channel.jpeg40]
use = "jpeg"
params = { quality = 40 }

[attack.channel-eot]
params = { channels = ["none"], registered = ["jpeg40"] }
"""
    )
    (there,) = kit.build("attack", "channel-eot").component.registered
    x = faces().requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    y = _Received(there, kit.rng("a", list("abcd")))(x)
    assert torch.equal(y, kit.build("channel", "jpeg40")(x.detach()))
    found, expected = (
        torch.autograd.grad((one * weights).sum(), x)[0] for one in (y, jpeg(x, 40, subsampling="4:2:0"))
    )
    assert torch.allclose(found, expected)


def test_qualities_of_networks_are_met_as_often_as_published():
    drawn = [_drawn(number) for number in numbers(0, 4000)]
    for quality, share in QUALITIES.items():
        assert drawn.count(quality) / 4000 == pytest.approx(share / sum(QUALITIES.values()), abs=0.02)
    assert numbers(1, 3) != numbers(2, 3)
    assert torch.equal(channel("jpeg").at(0.0)(faces(1)), jpeg(faces(1), 71))
    assert torch.equal(channel("jpeg").at(0.999)(faces(1)), jpeg(faces(1), 100))


@pytest.mark.parametrize(
    "name", ["jpg", "jpeg:0", "jpeg:7.5", "jpeg:", "resize:1", "resize", "blur:0", "blur:nan"]
)
def test_an_unknown_channel_is_refused_in_one_line(toy, name):
    with pytest.raises(
        RegistryError, match=f"no channel '{name}': expected none, jpeg, jpeg:QUALITY"
    ) as told:
        toy(f'[attack.a]\nuse = "channel-eot"\nparams = {{ channels = ["{name}"] }}').build("attack", "a")
    assert "\n" not in str(told.value)

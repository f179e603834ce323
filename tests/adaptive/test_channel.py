"""Attacks that know what lies between them and the defender, where the right answer is known."""

from __future__ import annotations

import pytest
import torch

from magdr_core.adaptive.detector_surrogate import distil
from magdr_core.adaptive.gradient_paths import through
from magdr_core.adaptive.losses import Mode, look
from magdr_core.functional import straight_through, to_8bit
from magdr_core.guards import GuardedChannel
from tests.adaptive.conftest import EPS, copies, grey
from tests.adaptive.test_attack import WEIGHTS, attacked, weighs


class Mirror:
    """Turns pictures left to right: what gradient passes straight through belongs to other pixels.

    Args:
        known: whether it says how it is differentiated.
    """

    def __init__(self, known=True):
        if known:
            self.soft = self.turned

    def turned(self, x):
        return x.flip(3)

    def __call__(self, x):
        return x.detach().flip(3)


def mirror(known=True):
    return GuardedChannel(Mirror(known), "channel mirror")


def coarse(x):
    """Every second level: no gradient, but nearly the picture."""
    return (x.detach() * 127.5).round() / 127.5


class Drawn:
    """Turns some pictures and not others."""

    def __call__(self, x, *, rng):
        turned = rng.uniform(1)[:, :, None, None] > 0.5
        return torch.where(turned, x.flip(3), x)


def of_mirrored(x, sign):
    """What G shows of the best image against one that is turned."""
    return weighs(x.flip(3) + sign * EPS * WEIGHTS.sign())


def test_an_attack_that_knows_the_channel_does_what_nothing_could_keep_it_from(pipeline):
    x = grey(3)
    reference = weighs(x)
    best = torch.stack(
        [4 * (of_mirrored(x, sign) - reference).square().flatten(1).mean(1) for sign in (1, -1)]
    ).amax(0)
    _, knowing = attacked(pipeline, weighs, channel=mirror(), steps=20)
    _, unknowing = attacked(pipeline, weighs, steps=20)
    judged = pipeline(weighs, channel=mirror()).judge(unknowing.pooled.images)
    assert (knowing.pooled.verdict.disruption > 0.9 * best).all()
    assert (judged.disruption < 0.5 * knowing.pooled.verdict.disruption).all()


def test_verdicts_are_of_what_is_received(pipeline):
    seen = []

    def score(x, c, G):
        seen.append(x)
        return x[:, 0, :, 0].mean(1)  # of the first column

    def restored(x, c, G):
        return (x * 0.5).clamp(0, 1)

    target = pipeline(weighs, detector=score, threshold=0.5, defense=restored, channel=mirror())
    x = target.oblivious
    found = target.judge(x)
    assert torch.equal(found.score, x[:, 0, :, -1].mean(1))
    y = weighs(to_8bit(x.flip(3) * 0.5))
    expected = 4 * (y - target.aim.reference).square().flatten(1).mean(1)
    assert torch.allclose(found.disruption, expected, atol=1e-6)
    unit = (target.x[:, 0, :, -1].mean(1) - target.oblivious[:, 0, :, -1].mean(1)).abs()
    assert torch.allclose(target.score_unit, unit), "units are of received images, too"


@pytest.mark.parametrize("known", [True, False])
def test_gradients_are_of_what_a_channel_is_differentiated_as_or_straight_through_it(pipeline, known):
    target = pipeline(weighs, channel=mirror(known))
    way = through(target, "autograd")
    found = look(target, Mode(way.name, way), target.oblivious, 1).gradient
    received = target.oblivious.flip(3).requires_grad_(True)
    (own,) = torch.autograd.grad(target.gain(weighs(received)).sum(), received)
    assert torch.allclose(found, own.flip(3) if known else own, atol=1e-7)
    assert found.abs().max() > 0


def test_a_codec_without_gradient_is_passed_straight_through(pipeline):
    channel = GuardedChannel(coarse, "channel coarse")
    _, found = attacked(pipeline, weighs, channel=channel, steps=20)
    _, free = attacked(pipeline, weighs, steps=20)
    assert (found.pooled.verdict.disruption > 0.8 * free.pooled.verdict.disruption).all()
    target = pipeline(weighs, channel=channel)
    verdict = target.judge(found.pooled.images)
    assert torch.allclose(verdict.disruption, found.pooled.verdict.disruption)


def test_a_random_channel_is_judged_over_draws_and_a_fixed_one_once(pipeline):
    assert pipeline(channel=mirror()).draws == 1
    target = pipeline(weighs, channel=GuardedChannel(Drawn(), "channel drawn", stochastic=True))
    assert target.draws > 1
    x = target.oblivious
    both = [4 * (weighs(one) - target.aim.reference).square().flatten(1).mean(1) for one in (x, x.flip(3))]
    found = target.judge(x).disruption
    assert (found > torch.minimum(*both)).all()
    assert (found < torch.maximum(*both)).all()


def test_a_random_channel_gives_value_and_gradient_of_the_same_draw(pipeline):
    class Known(Drawn):
        soft = Drawn.__call__

    target = pipeline(copies, 6, channel=GuardedChannel(Known(), "channel drawn", stochastic=True))
    draw = next(target.forks(3))
    x = target.x.clone().requires_grad_(True)
    received = target.sent(x, draw)
    turned = (received.detach() == x.detach().flip(3)).flatten(1).all(1)
    assert 0 < int(turned.sum()) < 6
    (slope,) = torch.autograd.grad(received[:, :, :, 0].sum(), x)
    assert (slope[turned][..., -1] == 1).all()
    assert (slope[~turned][..., 0] == 1).all()


def test_a_stand_in_for_a_detector_learns_from_what_it_receives(pipeline):
    given = []

    def score(x, c, G):
        given.append(x)
        return x.detach()[:, 0, :, 0].mean(1)

    target = pipeline(detector=score, threshold=0.5, channel=mirror())
    given.clear()
    distil(target)
    assert any(torch.equal(x, target.x.flip(3)) for x in given)
    assert not any(torch.equal(x, target.x) for x in given)


def test_without_a_gradient_asked_for_nothing_is_differentiated():
    class Strict(Mirror):
        def turned(self, x):
            raise AssertionError("nobody asked")

    channel = GuardedChannel(Strict(), "channel strict")
    from magdr_core.components.rng import SampleRng

    x = grey(2)
    assert torch.equal(channel.through(x, rng=SampleRng(0, "a", ["0", "1"])), x.flip(3))
    assert torch.equal(straight_through(x, x), x)

"""The attack on a generator's code."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks.encoder import Encoder

from magdr_core.errors import ComponentError
from tests.plugins.disruptor_case import (
    aim,
    check_inside,
    check_repeatable_and_per_image,
    faces,
    noise,
    rng_of,
    run,
)


@pytest.mark.parametrize("layer", [0, -1])
@pytest.mark.parametrize("kind", ["away", "zero"])
def test_it_moves_the_code_more_than_noise_does(layer, kind):
    x = faces()
    x_hat = run(Encoder(aim=kind, layer=layer, steps=20), x)
    code = aim(x).encoded(layer, away=kind == "away")
    rest = 0.0 if kind == "away" else -1.0  # the loss of the clean image
    assert (code(x_hat) - rest > 1.3 * (code(noise(x, 6 / 255)) - rest)).all()


def test_it_disrupts_the_output_too_and_every_condition_alike():
    x = faces()
    x_hat = run(Encoder(steps=20), x)
    assert (aim(x)(x_hat) > aim(x)(noise(x, 6 / 255))).all()
    losses = torch.stack([one(x_hat) for one in aim(x).classes()])
    assert (losses.amin(0) > 0.5 * losses.amax(0)).all()


@pytest.mark.parametrize("eps", [0.0, 0.025, 1.0])
def test_it_stays_in_its_ball(eps):
    x = faces()
    check_inside(run(Encoder(eps=eps, steps=4), x), x, eps)


def test_it_is_repeatable_and_per_image():
    check_repeatable_and_per_image(Encoder(steps=4), faces())


def test_what_it_has_after_some_steps_is_what_fewer_steps_give():
    x = faces()
    found = Encoder(steps=6).checkpoints(x, aim(x), [2, 6], rng=rng_of(len(x)))
    assert torch.equal(found[0], run(Encoder(steps=2), x))
    assert torch.equal(found[1], run(Encoder(steps=6), x))


def test_a_generator_without_an_encoder_is_told_so(toy):
    kit = toy("[attack.encoder]\n")
    x = faces(1)
    from magdr_core.components.objective import build_objective
    from tests.plugins.disruptor_case import condition

    objective = build_objective("untargeted", kit.generator("toy"), x, condition(1))
    with pytest.raises(ComponentError, match=r"generator toy/net of toy.*: has no features"):
        kit.build("attack", "encoder")(x, objective, rng=kit.rng("encoder", ["face"]))

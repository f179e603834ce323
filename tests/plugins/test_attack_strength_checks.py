"""Auto-PGD and Square on objectives: as strong as their papers say, and what their schedules are."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from magdr_plugins.attacks.apgd import APGD, _decisions
from magdr_plugins.attacks.pgd import PGD
from magdr_plugins.attacks.square import Square

from tests.plugins.attack_fakes import Scripted
from tests.plugins.disruptor_case import (
    aim,
    check_inside,
    check_repeatable_and_per_image,
    faces,
    noise,
    picky,
    rng_of,
    run,
)

ATTACKS = {"apgd": APGD, "square": Square}
every = pytest.mark.parametrize("name", ATTACKS)


@every
@pytest.mark.parametrize("eps", [0.0, 6 / 255, 0.025, 1.0])
def test_it_stays_in_its_ball(name, eps):
    x = faces()
    check_inside(run(ATTACKS[name](eps=eps, steps=6), x), x, eps)


@every
def test_it_is_repeatable_and_per_image(name):
    check_repeatable_and_per_image(ATTACKS[name](steps=8), faces())


@every
def test_a_further_step_never_makes_it_weaker(name):
    x = faces()
    losses = [aim(x)(run(ATTACKS[name](steps=n), x)) for n in (2, 10, 40)]
    for before, after in pairwise(losses):
        assert (after >= before - 1e-7).all()


@pytest.mark.parametrize("kind", ["untargeted", "towards-black"])
def test_apgd_disrupts_about_as_much_as_pgd_of_as_many_steps_and_more_than_one_step(kind):
    x = faces(8)
    objective = aim(x, kind, picky())
    own, other = (objective(run(attack(steps=30), x, kind=kind, generator=picky())) for attack in (APGD, PGD))
    assert own.mean() >= other.mean() - 0.03 * other.mean().abs()
    once = objective(run(PGD(steps=1, step=6 / 255), x, kind=kind, generator=picky()))
    assert (own > once).all()


def test_apgd_looks_at_its_steps_when_the_paper_does():
    # .22, .41, .57, .70, .80, .87, .93 and .99 of a hundred.
    assert _decisions(100) == {22, 41, 57, 70, 80, 87, 93, 99}


def test_apgd_halves_its_step_where_it_does_not_rise_and_goes_back_to_its_best():
    x = faces(2)
    # The first image always rises, the second never after the first look.
    steps = 23
    spy = Scripted([[float(i), -float(i)] for i in range(steps + 1)])
    APGD(eps=0.1, steps=steps)(x, spy, rng=rng_of(2))
    assert min(_decisions(steps)) == 5
    best, after = spy.seen[0], spy.seen[6]
    moved = (after - best).abs().amax((1, 2, 3))
    # From its best, half of 2 eps upwards, and .75 of that way: less than the ball is wide.
    inside = (best[1] + 0.1 <= x[1] + 0.1) & (best[1] + 0.1 <= 1)
    assert torch.allclose((after[1] - best[1])[inside], torch.tensor(0.075), atol=1e-6)
    assert moved[1] <= 0.1


def test_apgd_keeps_the_best_of_its_restarts():
    x = faces()
    once, more = (aim(x)(run(APGD(steps=2, restarts=n), x)) for n in (1, 5))
    assert (more >= once).all()
    assert (more > once).any()


def test_square_disrupts_more_than_the_same_number_of_random_signs():
    x = faces()
    objective = aim(x, generator=picky())
    found = objective(run(Square(steps=200), x, generator=picky()))
    signs = (rng_of(4, seed=s).sign(3, 16, 16) for s in range(20))
    tried = torch.stack([objective((x + 6 / 255 * sign).clamp(0, 1)) for sign in signs])
    assert (found > tried.amax(0)).all()
    assert (found > 1.1 * objective(noise(x, 6 / 255))).all()


def test_square_asks_for_no_gradient():
    class Blind:
        def __init__(self, x):
            self.aim = aim(x)

        def evaluate(self, x):
            return self.aim.evaluate(x)

    x = faces(2)
    x_hat = Square(steps=5)(x, Blind(x), rng=rng_of(2))
    assert (aim(x)(x_hat) > 0).all()


def test_square_keeps_an_image_unless_the_loss_rises():
    x = faces(2)
    spy = Scripted([[5.0, 5.0], [6.0, 4.0], [5.5, 4.5]])
    x_hat = Square(steps=3, share=0.1)(x, spy, rng=rng_of(2))
    assert torch.equal(x_hat[0], spy.seen[1][0])
    assert torch.equal(x_hat[1], spy.seen[0][1])
    changed = (spy.seen[1] != spy.seen[0]).any(1).flatten(1).sum(1)
    assert (changed <= 5 * 5).all()  # a tenth of 16 x 16 pixels is a square of side 5


def test_squares_shrink_as_the_paper_says():
    attack = Square(steps=10_000, share=0.8)
    shares = {number: attack._side(number, 1000, 1000) ** 2 / 1e6 for number in (1, 11, 51, 201, 501, 8001)}
    expected = {1: 0.8, 11: 0.4, 51: 0.2, 201: 0.1, 501: 0.05, 8001: 0.8 / 512}
    for number, share in expected.items():
        assert shares[number] == pytest.approx(share, rel=0.03)

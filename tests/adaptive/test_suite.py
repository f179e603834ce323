"""The suite around its modes: the last run, parts of a batch, half precision, the soft gate, units."""

import pytest
import torch

from magdr_core.adaptive import AdaptiveAttack
from magdr_core.adaptive.gradient_paths import Way, through
from magdr_core.adaptive.losses import SOFT, _joint
from magdr_core.components.rng import SampleRng
from magdr_core.functional import round_toward
from tests.adaptive.conftest import EPS, SIZE, averages, copies, grey, target
from tests.adaptive.test_attack import LEVEL, off_mean

SEEN = {"detector": off_mean, "threshold": 0.3 * LEVEL}


def test_the_last_run_goes_on_from_the_best_of_all_others(pipeline):
    signs = SampleRng(0, "signs", list("abc")).sign(3, SIZE, SIZE)
    t = pipeline(oblivious=round_toward(grey(3) + 2 * LEVEL * signs, grey(3)))
    found = AdaptiveAttack(t, steps=2, queries=0)(t)
    finish = found.modes["finish"].verdict
    others = torch.stack([f.verdict.merit for name, f in found.modes.items() if name != "finish"]).amax(0)
    assert (finish.merit >= others).all()
    assert (finish.merit > others).any()


def test_the_last_run_takes_all_the_steps_and_the_others_a_quarter_but_at_least_twenty():
    def races(steps):
        return AdaptiveAttack(target(), steps=steps).race

    assert [races(steps) for steps in (1, 20, 50, 150, 400)] == [1, 20, 20, 38, 100]


def test_each_image_goes_on_in_the_mode_that_found_its_best(pipeline, monkeypatch):
    from magdr_core.adaptive import attack as module

    followed = []
    real = module.ascend

    def spied(target, mode, start, steps, *more):
        followed.append((mode.name, len(target), steps))
        return real(target, mode, start, steps, *more)

    t = pipeline(copies, 3, **SEEN)
    attack = AdaptiveAttack(pipeline(copies, 2, name="probe", **SEEN), steps=30, penalties=(), queries=0)
    attack.modes._score_ways = ["autograd", "lifted"]  # two modes of one gradient, to have two winners
    first, second = (mode.name for mode in attack.modes.of(t))
    monkeypatch.setattr(module, "ascend", spied)
    ended = attack._finish(t, t.x, [second, first, second])
    assert sorted(followed) == sorted([(first, 1, 30), (second, 2, 30)])
    alone = real(t.select(torch.tensor([1])), attack.modes.of(t.select(torch.tensor([1])))[0], t.x[1:2], 30)
    assert torch.equal(ended.best[1], alone.best[0])


def test_some_images_of_a_target_are_judged_as_in_the_whole(pipeline):
    t = pipeline(averages, 4, **SEEN)
    rows = torch.tensor([3, 1])
    whole, some = t.judge(t.oblivious), t.select(rows).judge(t.oblivious[rows])
    for name in ("gain", "disruption", "score", "excess", "feasible"):
        assert torch.equal(getattr(some, name), getattr(whole, name)[rows]), name


def test_looking_roughly_is_a_pass_in_half_precision(pipeline):
    seen = []

    def spied(x):
        seen.append(torch.is_autocast_enabled("cpu"))
        return x * 1.0

    t = pipeline(spied, rough=True)
    seen.clear()
    t.G(t.x, t.c)
    with t.roughly():
        t.G(t.x, t.c)
    half = len(seen) // 2
    assert seen == half * [False] + half * [True]


def crossed(x):
    """Shows something else in half precision."""
    return 1 - x.flip(3) if torch.is_autocast_enabled("cpu") else x * 1.0


@pytest.mark.parametrize(("f", "exact"), [(crossed, True), (copies, False)])
def test_half_precision_is_for_modes_whose_gradients_it_shows(pipeline, f, exact):
    attack = AdaptiveAttack(pipeline(f, 2, name="probe", rough=True), queries=0)
    t = pipeline(f, 3, rough=True)
    (mode,) = attack.modes.of(t)
    assert mode.exact is exact
    assert mode.rough(t) is not exact


@pytest.mark.parametrize(
    ("excess", "expected"), [(0.0, 2.0), (-20 * SOFT, 1.0), (20 * SOFT, 3.0), (SOFT, 1 + 2 * 0.7310586)]
)
def test_behind_a_soft_gate_the_gain_is_that_of_the_image_under_it_and_of_the_restored_one_over_it(
    pipeline, excess, expected
):
    t = pipeline(**SEEN)

    def constant(value):
        return Way("", lambda x, draw: torch.full((len(x),), value), True)

    score = constant(t.threshold + excess * float(t.score_unit[0]))
    found = _joint(t, constant(1.0), constant(3.0), score).value(t.x, next(t.forks(0)))
    assert found.tolist() == pytest.approx([expected] * 3, abs=1e-4)


def test_a_gain_of_one_is_that_of_the_strongest_images(pipeline):
    half = pipeline().oblivious * 0.5 + pipeline().x * 0.5
    t = pipeline(strongest=pipeline().oblivious, oblivious=half)
    value = through(t, "autograd").value(pipeline().oblivious, next(t.forks(0)))
    assert value.tolist() == pytest.approx([1.0] * 3)
    assert (t.judge(t.inside(half)).gain < 0.3).all()
    assert EPS > 5 * LEVEL

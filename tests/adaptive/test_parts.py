"""The parts of the adaptive attack: undone gradient masks, step sizes, the softmin, the random search."""

import pytest
import torch

from magdr_core.adaptive.apgd import Ascent, marks
from magdr_core.adaptive.black_box import square_search
from magdr_core.adaptive.discrete_choice import _softmin
from magdr_core.adaptive.gradient_paths import through
from magdr_core.adaptive.gradient_unmasking import Lifted
from magdr_core.components.rng import SampleRng
from tests.adaptive.conftest import EPS


def gradient(f, mode):
    x = torch.linspace(0.1, 0.9, 5, requires_grad=True)
    with mode:
        y = f(x)
    return y.detach(), torch.autograd.grad(y.sum(), x)[0] if y.requires_grad else torch.zeros(5)


@torch.no_grad()
def forbidden(x):
    return 3 * x


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: torch.round(x * 7) / 7, 1.0),
        (lambda x: (x * 7).floor() / 7, 1.0),
        (lambda x: (x * 7).clone().ceil_() / 7, 1.0),
        (forbidden, 3.0),
    ],
)
def test_lifting_gives_roundings_and_no_grad_a_gradient_and_keeps_the_values(f, slope):
    plain, _ = gradient(f, torch.enable_grad())
    values, found = gradient(f, Lifted())
    assert torch.equal(values, plain)
    assert torch.allclose(found, torch.full((5,), slope))


def test_detached_tensors_are_attached_by_cutting_nothing_only():
    def f(x):
        return x.detach() * 4

    assert torch.equal(gradient(f, Lifted())[1], torch.zeros(5))
    assert torch.equal(gradient(f, Lifted(uncut=True))[1], torch.full((5,), 4.0))


def test_straight_through_estimators_keep_their_gradient_when_uncut():
    def f(x):
        hard = torch.round(x.detach() * 7) / 7
        return hard + (x - x.detach())

    assert torch.allclose(gradient(f, Lifted(uncut=True))[1], torch.ones(5))


def test_gradients_are_off_again_where_they_were_off_before():
    with torch.no_grad():
        with Lifted(), torch.enable_grad():
            pass
        assert not torch.is_grad_enabled()


def test_marks_are_those_of_apgd():
    # .22, .41, .57, .70, .80, .87, .93, .99 of 100 (Croce and Hein 2020, section 4.1).
    assert marks(100) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_steps_halve_where_progress_stalls_and_only_there():
    clean = torch.full((2, 3, 4, 4), 0.5)
    ascent = Ascent(clean, clean, EPS, 100)
    for n in range(60):
        # The first image gets better with every step, the second never does.
        ascent.move(torch.tensor([float(n), -float(n)]), torch.randn(2, 3, 4, 4))
    assert ascent.step[0] == pytest.approx(2 * EPS)
    assert ascent.step[1] == pytest.approx(2 * EPS / 8)


def test_a_restart_goes_back_to_the_best_point():
    clean = torch.full((1, 3, 4, 4), 0.5)
    ascent = Ascent(clean, clean, EPS, 100)
    best = None
    for n in range(22):
        if n == 5:
            best = ascent.x.clone()
        ascent.move(torch.tensor([1.0 if n == 5 else 0.0]), torch.randn(1, 3, 4, 4))
    gradient = torch.zeros(1, 3, 4, 4)
    ascent.move(torch.tensor([0.0]), gradient)
    assert (ascent.x - best).abs().max() <= 2 * EPS
    assert ascent.step.item() == pytest.approx(EPS)


def test_softmin_weighs_low_scores_most_and_screened_ones_never():
    weights = _softmin(torch.tensor([[1.0, 2.0, torch.inf, 1.2], [5.0, 0.0, 9.0, 9.0]]))
    assert torch.allclose(weights.sum(1), torch.ones(2))
    assert weights[0, 2] == 0
    assert weights[0, 0] > weights[0, 3] > weights[0, 1]
    assert weights[1].argmax() == 1
    known = torch.tensor([1.0, 2.0, 1.2])
    wanted = torch.softmax(-known / (0.5 * known.std(unbiased=False)), 0)
    assert wanted[1] < 0.02  # not worth a pass
    wanted = wanted[[0, 2]] / wanted[[0, 2]].sum()
    assert torch.allclose(weights[0, [0, 3]], wanted, atol=1e-5)


def test_the_square_search_never_gets_worse_with_more_queries(pipeline):
    t = pipeline()
    merits = []
    for queries in (1, 10, 40):
        _, verdict = square_search(t, queries, SampleRng(0, "squares", t.clean.ids))
        merits.append(verdict.merit)
    # The schedule depends on the number of queries, but all start from the same stripes.
    assert (merits[1] >= merits[0]).all()
    assert (merits[2] >= merits[0]).all()


def test_a_way_through_a_defense_has_the_real_pipelines_values(pipeline):
    t = pipeline(defense=lambda x, c, G: (x * 255).div(3).round().mul(3).div(255).clamp(0, 1))
    draw = next(t.forks(0))
    for level in ("autograd", "lifted", "uncut"):
        assert torch.equal(through(t, level).value(t.oblivious, draw).detach(), t.judge(t.oblivious).gain)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.clamp(0.1, 0.9),
        lambda x: torch.clamp(x, min=0.1, max=0.9),
        lambda x: x.clamp_min(0.1).clamp_max(max=0.9),
    ],
)
def test_lifting_lets_the_gradient_of_values_on_a_clamps_bounds_pass(f):
    plain, _ = gradient(f, torch.enable_grad())
    values, found = gradient(f, Lifted())
    assert torch.equal(values, plain)
    assert torch.equal(found, torch.ones(5))
    assert torch.equal(gradient(lambda x: f(2 * x - 0.4), Lifted())[1], torch.tensor([0.0, 2, 2, 0, 0]))

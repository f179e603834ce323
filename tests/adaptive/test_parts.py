"""The parts of the adaptive attack: undone gradient masks, step sizes, the softmin, the random search."""

import pytest
import torch

from magdr_core.adaptive.black_box import square_search
from magdr_core.adaptive.discrete_choice import _softmin
from magdr_core.adaptive.gradient_paths import through
from magdr_core.adaptive.gradient_unmasking import Lifted
from magdr_core.adaptive.shapes import SHAPES
from magdr_core.adaptive.sign_steps import Ascent, length
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


def test_steps_fall_by_a_cosine_from_three_eighths_of_the_radius_to_a_twenty_fourth():
    lengths = [length(n, 101) * 6 for n in range(101)]
    assert lengths[0] == pytest.approx(2.25)
    assert lengths[50] == pytest.approx(1.25)
    assert lengths[100] == pytest.approx(0.25)
    assert lengths == sorted(lengths, reverse=True)
    assert length(0, 1) == pytest.approx(3 / 8)


def test_a_step_goes_along_the_signs_and_stays_in_the_ball():
    clean = torch.full((2, 3, 4, 4), 0.5)
    ascent = Ascent(clean, clean, EPS, 30)
    slope = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    ascent.move(slope)
    assert torch.allclose(ascent.x - clean, 3 / 8 * EPS * slope.sign(), atol=1e-7)
    for _ in range(29):
        ascent.move(slope)
    assert torch.allclose(ascent.x - clean, EPS * slope.sign(), atol=1e-6)


def test_the_momentum_is_of_gradients_of_equal_size_whatever_their_scale():
    """A gradient a thousand times as large as the one before does not decide alone."""
    clean = torch.full((1, 3, 4, 4), 0.5)
    ascent = Ascent(clean, clean, EPS, 3)
    ascent.move(torch.full((1, 3, 4, 4), 1e-6))
    ascent.move(torch.full((1, 3, 4, 4), 1e-3))
    x = ascent.x.clone()
    ascent.move(torch.full((1, 3, 4, 4), -1e3))  # .75 + .75^2 > 1: the two before still win
    assert (ascent.x >= x).all()


def test_a_gradient_of_nought_leaves_the_momentum_alone():
    clean = torch.full((1, 3, 4, 4), 0.5)
    ascent = Ascent(clean, clean, EPS, 10)
    ascent.move(torch.ones(1, 3, 4, 4))
    x = ascent.x.clone()
    ascent.move(torch.zeros(1, 3, 4, 4))
    assert (ascent.x > x).all()


def test_a_low_frequency_shape_leaves_no_fine_pattern():
    x = torch.arange(16)
    fine = ((x[:, None] + x[None]) % 2 * 2.0 - 1).expand(1, 3, 16, 16)
    coarse = (x < 8).float()[:, None].expand(1, 3, 16, 16) * 2 - 1
    seen = SHAPES["low-frequency"]()(fine + coarse)
    assert torch.equal(seen[..., 2:-2, :].sign(), coarse[..., 2:-2, :])


def test_a_concentrated_shape_keeps_to_a_quarter_of_the_pixels_where_the_first_gradient_was_largest():
    shape = SHAPES["concentrated"]()
    slope = torch.ones(2, 3, 16, 16) * 0.01
    slope[0, :, :8, :8] = 1.0
    slope[1, :, 8:, 8:] = -1.0
    kept = shape(slope) != 0
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.03)  # ties stay
    assert kept[0, :, :7, :7].all()
    assert kept[1, :, 9:, 9:].all()
    assert torch.equal(shape(-slope.flip(0)) != 0, kept)


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

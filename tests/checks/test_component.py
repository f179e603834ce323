"""Every check of a component fires on a setup that is wrong on purpose, and is quiet on a right one."""

import pytest
import torch

from magdr_core.bench.checks.adaptive_engine import AdaptiveEngine
from magdr_core.bench.checks.component import LONGER, Effort, component_checks
from magdr_core.bench.checks.gradient_check import gradient_check
from magdr_core.functional import bit_depth, gaussian_blur, project_linf, round_toward, straight_through
from magdr_core.magdr import MagDRDetector
from magdr_core.testing.white_box import white_box
from tests.checks.conftest import EPS

EFFORT = Effort(EPS, 4, 2)


def checked(victim, engine=white_box, effort=EFFORT):
    bare = type(victim)(victim.clean, victim.G, victim.aim)
    transferred = white_box(bare, effort.eps, [LONGER * effort.steps], 1)[0]
    found = {c.name: c for c in component_checks(victim, engine, effort, transferred)}
    assert all(c.said for c in found.values())
    return found


def failed(victim, engine=white_box):
    found = checked(victim, engine)
    print(*found.values(), sep="\n")
    return {name for name, c in found.items() if c.verdict == "fail"}


def blurred(x, c, G):
    return gaussian_blur(x, 0.6)


def switched(x, c, G, *, rng):
    strong = rng.integers(1, high=2)[:, :, None, None] == 1
    return torch.where(strong, gaussian_blur(x, 0.8), gaussian_blur(x, 0.4))


# -- right setups -----------------------------------------------------------------------------------------


def test_a_right_defense_has_nothing_flagged(victim):
    found = checked(victim(blurred))
    assert [c for c in found.values() if c.verdict not in ("pass", "warn")] == []
    assert found["gradient"].evidence["zero share"] < 0.5


def test_a_right_random_defense_has_nothing_flagged(victim):
    found = checked(victim(switched, stochastic=True))
    assert [c for c in found.values() if c.verdict not in ("pass", "warn")] == []
    assert "EOT at 2x samples" in found


def test_a_hard_defense_that_declares_no_gradient_is_attacked_around_it(victim):
    assert not failed(victim(lambda x, c, G: bit_depth(x, 5), gradient="none"))


def test_a_right_detector_has_nothing_flagged(victim):
    # Suspicious is what is rough; the threshold is above every clean image.
    def rough(x, c, G):
        return (x - gaussian_blur(x, 1.0)).square().flatten(1).mean(1)

    bare = victim()
    threshold = float(rough(bare.clean.images, None, None).max()) * 1.05
    assert not failed(victim(detector=rough, threshold=threshold))


MAGDR = """
[detector.literal]
use = "magdr"

[detector.literal.params]
parser = "whole"
criteria = ["l1"]
augmentations = ["shift", "flip"]
form = "literal"
evidence = "consistency"
"""

# -- wrong gradients --------------------------------------------------------------------------------------


def test_a_gradient_cut_by_a_detach_is_flagged(victim):
    wrong = failed(victim(lambda x, c, G: gaussian_blur(x.detach(), 0.6)))
    assert {"gradient", "white-box against transfer"} <= wrong


def test_a_quantiser_that_claims_a_gradient_is_flagged(victim):
    assert "gradient" in failed(victim(lambda x, c, G: bit_depth(x, 5)))


def test_a_gradient_of_something_else_is_flagged(victim):
    # There is a gradient, and it points the wrong way.
    def misleading(x, c, G):
        return straight_through(gaussian_blur(x, 0.6), 1 - x)

    assert {"gradient", "white-box against transfer"} <= failed(victim(misleading))


def test_a_nan_gradient_is_flagged(victim):
    def rooted(x, c, G):
        zero = (x - x.detach()).abs()
        return (x + zero.sqrt() * 0).clamp(0, 1)

    found = checked(victim(rooted))["gradient"]
    assert found.verdict == "fail"
    assert found.evidence["NaN share"] == 1


def test_a_detector_whose_score_is_cut_is_flagged(victim):
    def cut(x, c, G):
        return (x - gaussian_blur(x, 1.0)).square().flatten(1).mean(1).detach()

    assert "gradient" in failed(victim(detector=cut, threshold=0.0))


def test_a_wrong_magdr_is_flagged_and_the_right_one_is_not(victim, soft):
    magdr = soft(MAGDR).build("detector", "literal").component

    def cut(x, c, G):
        return magdr(x.detach(), c, G)

    right = gradient_check(victim(detector=magdr, gradient="straight-through"), EPS)
    wrong = gradient_check(victim(detector=cut, gradient="straight-through"), EPS)
    assert (right.verdict, wrong.verdict) == ("pass", "fail")


def test_a_wrong_magdr_is_flagged_by_the_checks_with_the_adaptive_attack(victim, soft):
    """A `detach` in front of MagDR: the adaptive attack gets through it all the same, and the row still says
    that the gradient which is declared is not there."""
    magdr = soft(MAGDR).build("detector", "literal").component
    clean = victim().clean

    def cut(x, c, G):
        return magdr(x.detach(), c, G)

    with torch.no_grad():
        threshold = float(magdr(clean.images, clean.conditions, victim().G).max()) * 1.2
    options = {"gradient": magdr.gradient, "threshold": threshold}
    assert magdr.gradient == "straight-through"
    effort = Effort(EPS, 2, 1)
    right = checked(victim(detector=magdr, **options), AdaptiveEngine(), effort)
    wrong = checked(victim(detector=cut, **options), AdaptiveEngine(), effort)
    assert right["gradient"].verdict == "pass"
    assert wrong["gradient"].verdict == "fail"
    assert "fail" not in {c.verdict for name, c in wrong.items() if name != "gradient"}


@pytest.mark.parametrize(
    ("options", "gradient"),
    [
        ({"form": "literal", "evidence": "distortion"}, "none"),
        ({"form": "literal"}, "straight-through"),
        ({}, "straight-through"),
    ],
)
def test_magdr_declares_the_gradient_of_its_form(options, gradient):
    assert MagDRDetector(None, [], [], **options).gradient == gradient


# -- wrong attacks ----------------------------------------------------------------------------------------


def test_an_attack_that_ignores_eps_is_flagged(victim):
    def deaf(victim, eps, at, draws):
        return white_box(victim, EPS, at, draws)

    assert "eps-0" in failed(victim(blurred), deaf)


def test_an_attack_that_does_nothing_is_flagged(victim):
    def idle(victim, eps, at, draws):
        return [victim.clean.images] * len(at)

    assert {"eps-1", "white-box against random search", "white-box against transfer"} <= failed(
        victim(blurred), idle
    )


def test_an_attack_whose_loss_has_the_wrong_sign_is_not_monotone(victim):
    def descending(victim, eps, at, draws):
        x, rng = victim.clean.images, victim.rng("wrong")
        current = project_linf(x + eps * rng.sign(*x.shape[1:]), x, eps)
        after = {}
        for number in range(1, max(at) + 1):
            _, uphill = victim.ascent(round_toward(current, x), rng.fork(number))
            current = project_linf(current - eps / 5 * uphill.sign(), x, eps)
            after[number] = round_toward(current, x)
        return [after[number] for number in at]

    assert "monotone in steps" in failed(victim(blurred), descending)


def test_an_attack_that_gets_less_with_more_eps_is_not_monotone(victim):
    def backwards(victim, eps, at, draws):
        return white_box(victim, eps if eps in (0, 1) else EPS * EPS / eps, at, draws)

    assert {"monotone in eps", "monotone in eps, doubled"} <= failed(victim(blurred), backwards)


def test_too_few_steps_are_called_not_converged(victim):
    def slow(victim, eps, at, draws):
        # A tenth of the strength for every ten steps.
        return [white_box(victim, eps * min(1.0, n / 40), [8], draws)[0] for n in at]

    assert checked(victim(blurred), slow)["10x steps"].verdict == "warn"


def test_too_few_samples_are_called_not_converged(victim):
    def starved(victim, eps, at, draws):
        weak = eps / 8 if draws < 4 and 0 < eps < 1 else eps
        return white_box(victim, weak, at, draws)

    found = checked(victim(switched, stochastic=True), starved)
    assert found["EOT at 2x samples"].verdict == "warn"


@pytest.mark.parametrize("batch", [1, 4])
def test_what_the_attack_makes_of_an_image_does_not_depend_on_the_batch(victim, batch):
    whole = victim(switched, stochastic=True)
    part = type(whole)(whole.clean[:batch], whole.G, whole.aim, defense=whole.defense)
    together = white_box(whole, EPS, [3], 2)[0][:batch]
    assert torch.equal(white_box(part, EPS, [3], 2)[0], together)

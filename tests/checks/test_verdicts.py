"""What is concluded from per-image values, on values whose answer is plain."""

import numpy as np
import pytest

from magdr_core.bench.checks import check as verdicts

N = 16
EVEN = np.full(N, 0.2)
SPREAD = np.linspace(0.1, 0.3, N)
NOISE = np.tile([-0.01, 0.01], N // 2)


def test_zero_strength_must_not_move_a_single_pixel():
    assert verdicts.nothing_at_zero(np.zeros(N)).verdict == "pass"
    one = np.zeros(N)
    one[3] = 1 / 255
    assert verdicts.nothing_at_zero(one).verdict == "fail"


@pytest.mark.parametrize(("reached", "verdict"), [(20, "pass"), (19, "pass"), (18, "fail")])
def test_full_strength_must_reach_95_percent(reached, verdict):
    assert verdicts.everything_at_one(np.arange(20) < reached).verdict == verdict


def test_an_attack_without_a_gradient_is_not_blamed_on_the_detector():
    check = verdicts.everything_at_one(np.zeros(20), doubt="no slope")
    assert check.verdict == "warn"
    assert check.said.endswith("no slope")


def test_more_effort_that_gets_less_fails_and_noise_does_not():
    assert verdicts.not_weaker("m", SPREAD, SPREAD - 0.05, "").verdict == "fail"
    assert verdicts.not_weaker("m", SPREAD, SPREAD + NOISE, "").verdict == "pass"
    assert verdicts.not_weaker("m", SPREAD, SPREAD + 0.05, "").verdict == "pass"


def test_the_comparison_is_paired():
    # The images differ by far more than the attacks do; image by image the loss is certain.
    wide = np.linspace(0, 10, N)
    assert verdicts.not_weaker("m", wide, wide - 0.5, "").verdict == "fail"


def test_who_knows_more_must_not_be_beaten():
    assert verdicts.not_beaten("b", SPREAD, SPREAD + 0.05, "").verdict == "fail"
    assert verdicts.not_beaten("b", SPREAD, SPREAD + NOISE, "").verdict == "pass"
    assert verdicts.not_beaten("b", SPREAD, SPREAD - 0.05, "").verdict == "pass"
    assert verdicts.not_beaten("b", SPREAD, SPREAD + 0.05, "", blind=True).verdict == "warn"


def test_convergence_asks_for_less_than_a_tenth_more():
    assert verdicts.converged("c", EVEN, EVEN * 1.09, "").verdict == "pass"
    assert verdicts.converged("c", EVEN, EVEN * 1.2, "").verdict == "warn"
    # A gain on average that images disagree about is not shown.
    unsure = EVEN + np.where(np.arange(N) < 2, 0.4, -0.02)
    assert verdicts.converged("c", EVEN, unsure, "").verdict == "pass"


def test_an_interval_holds_its_mean_and_is_the_same_again():
    found = verdicts.paired(SPREAD, SPREAD + NOISE + 0.02, "p")
    assert found["gain"] == pytest.approx(0.02)
    assert found["low"] <= 0.02 <= found["high"]
    assert found == verdicts.paired(SPREAD, SPREAD + NOISE + 0.02, "p")


def test_blind_and_broken_gradients_fail_whatever_is_declared():
    fine, no = np.zeros(N), np.zeros(N, dtype=bool)
    blind = np.where(np.arange(N) < 2, 1.0, 0.0)
    assert verdicts.gradients("straight-through", fine, no, None).verdict == "pass"
    assert verdicts.gradients("straight-through", blind, no, None).verdict == "fail"
    assert verdicts.gradients("none", fine, np.arange(N) < 2, None).verdict == "fail"


def test_an_exact_gradient_must_agree_with_slopes():
    fine, no = np.zeros(N), np.zeros(N, dtype=bool)
    assert verdicts.gradients("exact", fine, no, np.full(N, 0.01)).verdict == "pass"
    assert verdicts.gradients("exact", fine, no, np.full(N, 0.6)).verdict == "fail"


def test_planted_weaknesses_count_only_where_there_is_something_to_break():
    everyone = np.ones(20, dtype=bool)
    assert verdicts.planted_broken("p", np.arange(20) < 19, everyone).verdict == "pass"
    assert verdicts.planted_broken("p", np.arange(20) < 18, everyone).verdict == "fail"
    assert verdicts.planted_broken("p", np.arange(20) < 12, np.arange(20) < 12).verdict == "pass"
    assert verdicts.planted_broken("p", np.zeros(20), np.arange(20) < 3).verdict == "skipped"


# -- nothing to conclude from ------------------------------------------------------------------------------

CONCLUSIONS = {
    "eps-0": verdicts.nothing_at_zero,
    "eps-1": verdicts.everything_at_one,
    "not weaker": lambda v: verdicts.not_weaker("m", v, v, ""),
    "not beaten": lambda v: verdicts.not_beaten("b", v, v, ""),
    "converged": lambda v: verdicts.converged("c", v, v, ""),
    "gradient": lambda v: verdicts.gradients("exact", v, np.zeros(len(v), dtype=bool), None),
    "planted": lambda v: verdicts.planted_broken("p", v, np.ones(len(v), dtype=bool)),
}


@pytest.mark.parametrize("conclude", CONCLUSIONS.values(), ids=CONCLUSIONS)
@pytest.mark.parametrize(
    "values", [np.zeros(0), np.zeros(1), np.zeros(3), np.array([0.0, np.nan, 0, 0]), np.full(9, np.inf)]
)
def test_nothing_is_concluded_from_few_images_or_from_no_numbers(conclude, values):
    assert conclude(values).verdict == "skipped"


def test_values_of_different_images_are_not_compared():
    assert verdicts.not_weaker("m", EVEN, EVEN[:-1], "").verdict == "skipped"


def test_a_slope_that_is_no_number_agrees_with_nothing():
    fine, no = np.zeros(N), np.zeros(N, dtype=bool)
    assert verdicts.gradients("exact", fine, no, np.full(N, np.nan)).verdict == "fail"


def test_a_stand_in_has_to_lead_somewhere():
    fine, no = np.zeros(N), np.zeros(N, dtype=bool)
    assert verdicts.gradients("straight-through", fine, no, None, SPREAD).verdict == "pass"
    assert verdicts.gradients("straight-through", fine, no, None, SPREAD - 0.2).verdict == "warn"
    assert verdicts.gradients("straight-through", fine, no, None, np.full(N, np.nan)).verdict == "warn"


def test_a_comparison_passes_only_if_the_attack_got_something_somewhere():
    nothing = verdicts.not_weaker("m", np.zeros(N), np.zeros(N), "")
    assert verdicts.if_seen(nothing, True).verdict == "pass"
    assert verdicts.if_seen(nothing, False).verdict == "skipped"
    worse = verdicts.not_weaker("m", SPREAD, SPREAD - 0.05, "")
    assert verdicts.if_seen(worse, False).verdict == "fail"

"""Operating points: what a threshold on n clean scores promises of the next one."""

import numpy as np
import pytest

from magdr_core.calibration import promised_fpr, rate_kept, scores_needed, threshold_at_fpr


@pytest.mark.parametrize(
    ("n", "fpr", "rank"),
    [
        (1000, 0.01, 991),  # ceil(1001 * 0.99 = 990.99)
        (999, 0.01, 990),
        (199, 0.01, 198),
        (100, 0.01, 100),  # ceil(99.99)
        (99, 0.01, 99),
        (20, 0.05, 20),  # ceil(19.95)
        (19, 0.05, 19),
        (50, 0.1, 46),  # ceil(45.9)
        (99, 0.44, 56),  # 100 * (1 - 0.44) is 56.00000000000001 in floats
        (3, 0.5, 2),
    ],
)
def test_threshold_at_fpr_has_the_split_conformal_rank(n, fpr, rank):
    scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert threshold_at_fpr(scores, fpr) == rank


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "fpr"), [(20, 0.05), (50, 0.05), (199, 0.01), (1000, 0.01)])
def test_threshold_at_fpr_keeps_the_rate_over_many_draws(n, fpr, ties):
    rng = np.random.default_rng(n)
    draws = rng.normal(size=(20_000_000 // (n + 1) // 10, n + 1))
    if ties:
        draws = np.round(draws, 1)
    above = draws[:, -1] > threshold_at_fpr(draws[:, :-1], fpr)
    noise = 4 * np.sqrt(fpr * (1 - fpr) / len(above))
    assert above.mean() <= fpr + noise
    if not ties:
        rate = np.floor((n + 1) * fpr) / (n + 1)  # what the rank gives exactly, without ties
        assert above.mean() == pytest.approx(rate, abs=noise)


def test_threshold_from_too_few_scores_is_the_largest_and_promises_less():
    assert [scores_needed(fpr) for fpr in (0.01, 0.05, 0.1, 0.5, 0.07)] == [99, 19, 9, 1, 14]
    scores = np.arange(20.0)
    assert threshold_at_fpr(scores, 0.01) == 19
    assert promised_fpr(20, 0.01) == pytest.approx(1 / 21)
    assert promised_fpr(98, 0.01) > 0.01 == promised_fpr(99, 0.01)
    draws = np.random.default_rng(0).normal(size=(40_000, 21))
    above = draws[:, -1] > threshold_at_fpr(draws[:, :-1], 0.01)
    assert above.mean() == pytest.approx(1 / 21, abs=0.005)


def test_threshold_at_fpr_takes_leading_axes():
    scores = np.random.default_rng(0).normal(size=(3, 4, 150))
    together = threshold_at_fpr(scores, 0.02)
    assert together.shape == (3, 4)
    assert together[1, 2] == threshold_at_fpr(scores[1, 2], 0.02)


def test_a_rate_that_cannot_be_promised_is_said_with_what_it_takes():
    said = "a threshold on 20 clean faces keeps 4.8% of false alarms, not 1%: that takes 99 of them"
    assert rate_kept(20, 0.01) == said
    assert rate_kept(99, 0.01) == rate_kept(20, 0.05) == ""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from magdr_core.bench.statistics import auroc, bootstrap, decisions, tpr_at_fpr
from magdr_core.calibration import best_f1_threshold, threshold_at_fpr

RNG = np.random.default_rng(0)


def test_auroc_equals_the_mann_whitney_statistic_with_ties():
    negatives, positives = RNG.integers(0, 10, 40).astype(float), RNG.integers(3, 14, 30).astype(float)
    u = mannwhitneyu(positives, negatives).statistic
    assert auroc(negatives, positives) == pytest.approx(u / (40 * 30))


def test_auroc_of_identical_scores_is_one_half():
    assert auroc(np.zeros(5), np.zeros(7)) == 0.5


def test_decisions_match_a_hand_count():
    negatives, positives = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 4.0])
    # Above 2.5: one of four negatives, two of three positives.
    d = decisions(negatives, positives, 2.5)
    assert d["precision"] == pytest.approx(2 / 3)
    assert d["recall"] == pytest.approx(2 / 3)
    assert d["f1"] == pytest.approx(2 / 3)
    assert d["accuracy"] == pytest.approx(5 / 7)
    assert d["fpr_clean"] == pytest.approx(1 / 4)
    # Clean class: tp 3, fp 1, fn 1, F1 3/4; weighted by 3 and 4 samples.
    assert d["f1_weighted"] == pytest.approx((3 * 2 / 3 + 4 * 3 / 4) / 7)


def test_nothing_flagged_gives_zero_not_nan():
    d = decisions(np.zeros(3), np.zeros(3), 1.0)
    assert (d["precision"], d["recall"], d["f1"]) == (0.0, 0.0, 0.0)


def test_the_fpr_threshold_lets_at_most_the_wanted_share_through():
    clean = RNG.normal(size=1000)
    threshold = threshold_at_fpr(clean, 0.01)
    assert (clean > threshold).sum() == 10
    assert (np.ones(1000) > threshold_at_fpr(np.ones(1000), 0.01)).sum() == 0


def test_the_f1_threshold_is_the_best_of_all_thresholds():
    clean, attacked = RNG.normal(size=60), RNG.normal(1.0, size=60)
    best = decisions(clean, attacked, best_f1_threshold(clean, attacked))["f1"]
    others = [decisions(clean, attacked, t)["f1"] for t in np.linspace(-4, 5, 400)]
    assert best >= max(others)


def test_tpr_at_fpr_counts_positives_above_the_quantile():
    negatives = np.arange(100.0)
    assert tpr_at_fpr(negatives, np.array([98.5, 97.5, 0.0]), 0.01) == pytest.approx(1 / 3)


def test_bootstrap_is_reproducible_and_covers_the_mean():
    values = RNG.normal(3.0, 1.0, 200)

    def mean(rows):
        return float(values[rows].mean())

    first, again = (bootstrap(mean, np.arange(200), seed=1) for _ in range(2))
    assert first == again
    value, low, high = first
    assert low < value < high
    # A 95% interval of a mean is about +-1.96 standard errors.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(200), rel=0.15)


def test_bootstrap_resamples_identities_not_pictures():
    # Ten pictures of each of 20 persons, all alike: the effective sample size is 20.
    person = np.repeat(RNG.normal(size=20), 10)
    identities = np.repeat(np.arange(20), 10)

    def mean(rows):
        return float(person[rows].mean())

    _, low, high = bootstrap(mean, identities, seed=0)
    _, low_wrong, high_wrong = bootstrap(mean, np.arange(200), seed=0)
    assert high - low > 2 * (high_wrong - low_wrong)


def test_one_identity_has_no_interval():
    value, low, high = bootstrap(lambda rows: 1.5, np.zeros(4), seed=0)
    assert value == 1.5
    assert math.isnan(low)
    assert math.isnan(high)

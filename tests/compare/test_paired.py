import numpy as np
import pytest
from scipy.stats import permutation_test
from sklearn.metrics import f1_score

from magdr_core.compare.paired import difference, exchange_p, fewest_identities
from magdr_core.measures.intervals import interval
from magdr_core.measures.statistics import STATISTICS, sign_flip_p

MEAN, MEDIAN, F1 = (STATISTICS[name] for name in ("mean", "median", "f1"))
RNG = np.random.default_rng(0)


def test_the_difference_of_means_has_the_interval_of_paired_differences():
    a, b, identities = RNG.normal(size=30), RNG.normal(0.5, size=30), np.arange(30)
    found = difference(MEAN, [a], [b], identities, seed=3)
    expected = interval(MEAN, [b - a], identities, seed=3)
    assert (found.difference, found.low, found.high) == pytest.approx(expected)
    assert (found.a, found.b) == pytest.approx((a.mean(), b.mean()))


def test_pairing_makes_the_interval_narrow_where_both_runs_agree_but_for_a_shift():
    a = RNG.normal(scale=100, size=40)
    found = difference(MEAN, [a], [a + 1 + RNG.normal(scale=0.1, size=40)], np.arange(40), seed=0)
    assert 0.9 < found.low < 1 < found.high < 1.1


def test_pictures_of_one_person_are_drawn_together():
    a, identities = np.zeros(6), np.array([0, 0, 0, 1, 1, 1])
    b = np.array([1.0, 1, 1, 0, 0, 0])
    found = difference(MEAN, [a], [b], identities, seed=0)
    expected = interval(MEAN, [np.array([1.0, 0.0])], np.arange(2), seed=0)
    assert (found.difference, found.low, found.high) == pytest.approx(expected)


def test_one_person_gives_no_interval():
    found = difference(MEAN, [np.zeros(4)], [np.ones(4)], np.zeros(4), seed=0)
    assert found.difference == 1
    assert np.isnan([found.low, found.high]).all()


def test_f1_difference_equals_scikit_learn():
    n = 40
    a, b = (tuple(RNG.random((2, n)) < np.array(p)[:, None]) for p in ((0.8, 0.1), (0.6, 0.2)))
    found = difference(F1, a, b, np.arange(n), seed=0)
    truth = np.repeat([True, False], n)
    expected = [f1_score(truth, np.concatenate(flags)) for flags in (a, b)]
    assert [found.a, found.b] == pytest.approx(expected)
    assert found.difference == pytest.approx(expected[1] - expected[0])
    assert found.low < found.difference < found.high


@pytest.mark.parametrize("n", [8, 25])
def test_p_of_means_equals_the_sign_test(n):
    a, b, identities = RNG.normal(size=n), RNG.normal(0.6, size=n), np.arange(n)
    p = exchange_p(MEAN, [a], [b], identities, seed=0)
    assert p == pytest.approx(sign_flip_p(b - a, identities, seed=1), rel=1e-9 if n == 8 else 0.35)


@pytest.mark.parametrize("statistic", [MEAN, MEDIAN])
def test_p_equals_scipys_paired_permutation_test(statistic):
    a, b = RNG.normal(size=9), RNG.normal(1.0, size=9)

    def apart(x, y, axis):
        return statistic(np.moveaxis(y, axis, -1)) - statistic(np.moveaxis(x, axis, -1))

    expected = permutation_test((a, b), apart, permutation_type="samples", n_resamples=np.inf)
    assert exchange_p(statistic, [a], [b], np.arange(9), seed=0) == pytest.approx(expected.pvalue)


def test_p_of_f1_is_exact_for_few_images():
    """Five images: A finds all, B none; all 32 exchanges by hand."""
    clean = np.zeros(5, dtype=bool)
    found, missed = np.ones(5, dtype=bool), np.zeros(5, dtype=bool)
    p = exchange_p(F1, (found, clean), (missed, clean), np.arange(5), seed=0)
    assert p == pytest.approx(2 / 32)


def test_p_exchanges_whole_persons():
    a, b = np.zeros(20), np.ones(20)
    assert exchange_p(MEAN, [a], [b], np.repeat([0, 1], 10), seed=0) == pytest.approx(2 / 4)


def test_p_holds_its_level_when_nothing_differs():
    """Of 200 comparisons without a difference about 5% may be below .05."""
    below = [
        exchange_p(MEAN, [x], [y], np.arange(15), seed=i, flips=999) < 0.05
        for i, (x, y) in enumerate(RNG.normal(size=(200, 2, 15)))
    ]
    assert np.mean(below) < 0.1


def test_random_exchanges_are_seeded():
    a, b = RNG.normal(size=40), RNG.normal(0.3, size=40)
    first, again, other = (exchange_p(MEAN, [a], [b], np.arange(40), seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_fewest_identities_is_the_least_number_that_can_pass():
    for comparisons in (1, 2, 18, 500):
        n = fewest_identities(comparisons, 0.05)
        assert 2 / 2**n * comparisons < 0.05 <= 2 / 2 ** (n - 1) * comparisons


def test_ranked_statistics_take_leading_axes():
    clean, attacked = RNG.normal(size=(3, 20)).round(1), RNG.normal(1, size=(3, 20)).round(1)
    for name in ("auroc", "tpr_at_5fpr"):
        each = [STATISTICS[name](attacked[i], clean[i]) for i in range(3)]
        assert STATISTICS[name](attacked, clean) == pytest.approx(each)

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, permutation_test
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from magdr_core.calibration import best_f1_threshold
from magdr_core.measures.statistics import (
    STATISTICS,
    auroc,
    decisions,
    holm,
    sign_flip_p,
    tpr_at_fpr,
)

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
    d = decisions(positives > 2.5, negatives > 2.5)
    assert d["precision"] == pytest.approx(2 / 3)
    assert d["recall"] == pytest.approx(2 / 3)
    assert d["f1"] == pytest.approx(2 / 3)
    assert d["accuracy"] == pytest.approx(5 / 7)
    assert d["fpr_clean"] == pytest.approx(1 / 4)
    # Clean class: tp 3, fp 1, fn 1, F1 3/4; weighted by 3 and 4 samples.
    assert d["f1_weighted"] == pytest.approx((3 * 2 / 3 + 4 * 3 / 4) / 7)


@pytest.mark.parametrize("threshold", [-9.0, 0.3, 1.1, 9.0])
def test_decisions_equal_scikit_learn(threshold):
    negatives, positives = RNG.normal(size=70), RNG.normal(1.0, size=40)
    truth = np.repeat([0, 1], [70, 40])
    flagged = np.concatenate([negatives, positives]) > threshold
    ours = decisions(positives > threshold, negatives > threshold)
    for suffix, average in (("", "binary"), ("_weighted", "weighted")):
        expected = precision_recall_fscore_support(truth, flagged, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert ours[name + suffix] == pytest.approx(value), name + suffix
    assert ours["accuracy"] == pytest.approx(accuracy_score(truth, flagged))
    assert ours["fpr_clean"] == pytest.approx(flagged[:70].mean())


def test_auroc_and_tpr_equal_scikit_learn():
    negatives, positives = RNG.normal(size=400), RNG.normal(1.5, size=300)
    truth, scores = np.repeat([0, 1], [400, 300]), np.concatenate([negatives, positives])
    assert auroc(negatives, positives) == pytest.approx(roc_auc_score(truth, scores))
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    for wanted in (0.01, 0.05):
        # The rate is of a further image, so one of n + 1: a share of these n that is a little lower.
        kept = tpr[fpr <= (np.floor(401 * wanted) - 1) / 400 + 1e-12].max()
        assert tpr_at_fpr(negatives, positives, wanted) == pytest.approx(kept)


def test_f1_of_flagging_everything_equals_scikit_learn():
    assert STATISTICS["f1_of_all"](np.zeros(12), np.zeros(30)) == pytest.approx(
        f1_score(np.repeat([1, 0], [12, 30]), np.ones(42))
    )
    assert STATISTICS["f1_of_all"](np.zeros((5, 9)), np.zeros((5, 9))) == pytest.approx(np.full(5, 2 / 3))


def test_nothing_flagged_gives_zero_not_nan():
    d = decisions(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool))
    assert (d["precision"], d["recall"], d["f1"]) == (0.0, 0.0, 0.0)


def test_the_f1_threshold_is_the_best_of_all_thresholds():
    clean, attacked = RNG.normal(size=60), RNG.normal(1.0, size=60)

    def f1(threshold):
        return decisions(attacked > threshold, clean > threshold)["f1"]

    best = f1(best_f1_threshold(clean, attacked))
    others = [f1(t) for t in np.linspace(-4, 5, 400)]
    assert best >= max(others)


def test_tpr_at_fpr_counts_positives_above_the_calibrations_threshold():
    for n, threshold in ((99, 98.0), (198, 197.0), (199, 197.0), (1000, 990.0)):
        positives = np.array([threshold + 0.5, threshold, 0.0])
        assert tpr_at_fpr(np.arange(float(n)), positives, 0.01) == pytest.approx(1 / 3)


def test_tpr_at_fpr_is_not_told_from_too_few_negatives():
    assert np.isnan(tpr_at_fpr(np.zeros(98), np.ones(5), 0.01))
    assert np.isnan(tpr_at_fpr(np.zeros(18), np.ones(5), 0.05))
    assert tpr_at_fpr(np.zeros(19), np.ones(5), 0.05) == 1.0


def test_the_sign_flip_p_is_scipys_exact_permutation_test():
    differences = RNG.normal(0.4, 1.0, 11)
    expected = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences, np.arange(11), seed=0) == pytest.approx(expected.pvalue)


def test_the_sign_flip_p_of_many_images_is_near_the_normal_one():
    differences = RNG.normal(size=400)
    differences += 2.0 * differences.std() / 20 - differences.mean()  # two standard errors off zero
    assert sign_flip_p(differences, np.arange(400), seed=0) == pytest.approx(0.0455, abs=0.01)
    assert sign_flip_p(differences, np.arange(400), 3) == sign_flip_p(differences, np.arange(400), 3)
    assert sign_flip_p(differences + 3, np.arange(400), seed=0) == pytest.approx(1e-4)


def test_the_sign_flip_p_of_no_difference_is_one():
    assert sign_flip_p(np.zeros(5), np.arange(5), seed=0) == 1.0
    assert sign_flip_p(np.zeros(50), np.arange(50), seed=0) == 1.0


def test_the_sign_flip_turns_whole_identities():
    # Five persons, whatever the number of pictures: 2 of 2^5 assignments are as extreme.
    assert sign_flip_p(np.ones(50), np.arange(50) // 10, seed=0) == 2 / 32


def test_holm_matches_a_hand_computed_adjustment():
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04; the last may not be below the one before.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []

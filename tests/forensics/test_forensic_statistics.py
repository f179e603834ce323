"""Statistics of forensic figures, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from magdr_core.forensics.figures import FIGURES
from magdr_core.forensics.statistics import MASKED_MEAN, average_precision, clip_auc, equal_error_rate
from magdr_core.measures.intervals import Ratio, Share, interval
from magdr_core.measures.statistics import STATISTICS, statistic_of


def drawn(seed, *, ties):
    rng = np.random.default_rng(seed)
    fakes, reals = rng.normal(0.7, 1, (5, 40)), rng.normal(0, 1, (5, 40))
    return (fakes.round(), reals.round()) if ties else (fakes, reals)


def stacked(fakes, reals):
    labels = np.r_[np.ones(len(fakes)), np.zeros(len(reals))]
    return labels, np.r_[fakes, reals]


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_scikit_learns(ties):
    fakes, reals = drawn(0, ties=ties)
    expected = [average_precision_score(*stacked(f, r)) for f, r in zip(fakes, reals, strict=True)]
    np.testing.assert_allclose(average_precision(fakes, reals), expected, rtol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_equal_error_rate_is_where_the_roc_crosses_the_other_diagonal(ties):
    fakes, reals = drawn(1, ties=ties)
    found = equal_error_rate(fakes, reals)
    for value, f, r in zip(found, fakes, reals, strict=True):
        alarms, hits, _ = roc_curve(*stacked(f, r), drop_intermediate=False)
        length = np.r_[0, np.cumsum(np.hypot(np.diff(alarms), np.diff(hits)))]

        def beyond(t, length=length, both=alarms + hits):
            """How far along the curve is past the diagonal; straight between two thresholds."""
            return np.interp(t, length, both) - 1

        at = brentq(beyond, 0, length[-1])
        assert value == pytest.approx(np.interp(at, length, alarms), abs=1e-9)


@pytest.mark.parametrize("scores", [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (0.5, 0.5, 0.5)], ids=str)
def test_equal_error_rate_of_perfect_wrong_and_blind_scores(scores):
    fake, real, rate = scores
    assert equal_error_rate(np.full(6, fake), np.full(4, real)) == pytest.approx(rate)


def test_clip_auc_weighs_every_clip_once():
    rng = np.random.default_rng(2)
    clip = rng.integers(0, 9, 60)
    names, of, counts = np.unique(clip, return_inverse=True, return_counts=True)
    fake, real = rng.normal(0.4, 1, len(names)).round(1), rng.normal(0, 1, len(names)).round(1)
    expected = roc_auc_score(*stacked(fake, real))
    found = clip_auc(fake[of][None], real[of][None], (1 / counts)[of][None])
    assert found[0] == pytest.approx(expected, abs=1e-12)
    # Drawn twice, a clip weighs twice.
    rows = np.r_[np.arange(60), np.flatnonzero(of == 0)]
    weights = np.where(np.arange(len(names)) == 0, 2.0, 1.0)
    labels, scores = stacked(fake, real)
    twice = roc_auc_score(labels, scores, sample_weight=np.r_[weights, weights])
    again = clip_auc(fake[of][rows], real[of][rows], (1 / counts)[of][rows])
    assert again == pytest.approx(twice, abs=1e-12)


def test_every_figure_has_its_statistic_and_shares_have_the_interval_of_shares():
    kinds = {figure.name: type(statistic_of(figure)) for figure in FIGURES}
    assert {kinds[name] for name in ("auc", "ap", "eer", "accuracy", "tpr", "clip_auc")} == {Share}
    assert {kinds[name] for name in ("iou", "pixel_f1", "pixel_auc", "pbca")} == {Ratio}


def test_intervals_are_over_identities():
    rng = np.random.default_rng(3)
    fakes, reals = (np.repeat(rng.normal(m, 1, 30), 4) for m in (0.8, 0.0))
    [figure] = [figure for figure in FIGURES if figure.name == "ap"]
    statistic = statistic_of(figure)
    by_frame = interval(statistic, (fakes, reals), np.arange(120), 0)
    by_person = interval(statistic, (fakes, reals), np.repeat(np.arange(30), 4), 0)
    assert by_frame[0] == by_person[0]
    assert by_person[2] - by_person[1] > 1.5 * (by_frame[2] - by_frame[1])


def test_intervals_of_clips_are_over_identities():
    """Of people with several clips each, as alike as frames of one would be."""
    rng = np.random.default_rng(4)
    frames, clips_of_one = 3, 4
    fakes, reals = (np.repeat(rng.normal(m, 1, 30), frames * clips_of_one) for m in (0.8, 0.0))
    weights = np.full(len(fakes), 1 / frames)
    [figure] = [figure for figure in FIGURES if figure.name == "clip_auc"]
    statistic = statistic_of(figure)
    by_clip = interval(statistic, (fakes, reals, weights), np.repeat(np.arange(120), frames), 0)
    by_person = interval(statistic, (fakes, reals, weights), np.repeat(np.arange(30), 12), 0)
    assert by_clip[0] == by_person[0] == pytest.approx(roc_auc_score(*stacked(fakes[::12], reals[::12])))
    assert by_person[2] - by_person[1] > 1.5 * (by_clip[2] - by_clip[1])


def test_a_masked_mean_is_of_the_known_ones_and_so_is_its_interval():
    rng = np.random.default_rng(0)
    values, known = rng.random(40), np.repeat([1.0, 0.0], 20)
    assert float(MASKED_MEAN(values, known)) == pytest.approx(values[:20].mean())
    people = np.arange(40)
    found = interval(MASKED_MEAN, (values, known), people, 0)
    value, low, high = interval(STATISTICS["mean"], (values[:20],), people[:20], 0)
    assert found[0] == pytest.approx(value)
    assert found[1] < found[0] < found[2]
    assert (found[2] - found[1]) == pytest.approx(high - low, rel=0.35), "those unknown add nothing to go by"

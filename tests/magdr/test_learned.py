"""The learned detection on synthetic features."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from magdr_core.magdr.logistic import familiar, fit_familiarity, fit_logistic, log_odds


def sample(n, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1.0, (n, len(mean)))


def test_weights_agree_with_an_independent_logistic_regression():
    positives, negatives = sample(400, [1.5, 1.0], 0), sample(400, [0.0, 0.0], 1)
    state = fit_logistic(positives, [negatives])
    x = np.concatenate([positives, negatives])
    y = np.repeat([1, 0], 400)
    # The mean loss with a ridge of .01 is the sum with C = 1 / (n * .01); both give the intercept free.
    other = LogisticRegression(C=1 / (800 * 0.01), tol=1e-8).fit(x, y)
    assert state["weights"] == pytest.approx(other.coef_[0], abs=1e-3)
    assert state["bias"] == pytest.approx(other.intercept_[0], abs=1e-3)


def test_no_weight_is_negative_even_where_that_would_fit_better():
    state = fit_logistic(sample(300, [1.0, -2.0], 0), [sample(300, [0.0, 0.0], 1)])
    assert min(state["weights"]) >= 0
    assert state["weights"][1] == pytest.approx(0, abs=1e-6)


def test_noise_among_the_negatives_takes_weight_from_what_noise_raises():
    # The first feature tells attacks and noise from clean images, the second only attacks.
    attacked, clean, noise = (sample(300, m, s) for s, m in enumerate([[3, 2], [0, 0], [3, 0]]))
    blind = fit_logistic(attacked, [clean])["weights"]
    told = fit_logistic(attacked, [clean, noise])["weights"]
    assert told[0] / told[1] < 0.5 * blind[0] / blind[1]


def test_every_kind_of_harmless_image_weighs_the_same():
    attacked, clean = sample(200, [2.0], 0), sample(200, [0.0], 1)
    few, many = sample(5, [1.0], 2), np.repeat(sample(5, [1.0], 2), 100, 0)
    assert fit_logistic(attacked, [clean, few])["bias"] == pytest.approx(
        fit_logistic(attacked, [clean, many])["bias"], abs=1e-3
    )


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="attacked and harmless"):
        fit_logistic(np.zeros((0, 2)), [np.zeros((3, 2))])


def test_log_odds_are_the_weighted_sum():
    state = {"weights": [2.0, 0.5], "bias": -1.0}
    assert log_odds(state, torch.tensor([[1.0, 2.0], [0.0, 0.0]])).tolist() == [2.0, -1.0]


def test_what_calibration_saw_is_familiar_and_what_lies_far_out_is_not():
    features = sample(500, [0.0, 5.0, 2.0], 0)
    state = fit_familiarity(features)
    assert familiar(state, torch.from_numpy(features).float()).all()
    assert not familiar(state, torch.tensor([[30.0, 5.0, 2.0]])).item()


def test_an_unusual_combination_of_usual_values_is_not_familiar():
    both = sample(500, [0.0], 0)
    features = np.concatenate([both, both + 0.05 * sample(500, [0.0], 1)], 1)
    state = fit_familiarity(features)
    assert familiar(state, torch.tensor([[2.0, 2.0]])).item()
    assert not familiar(state, torch.tensor([[2.5, -2.5]])).item()

"""Learning to rank on synthetic candidates."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingRegressor

from magdr_core.magdr.ranker import FORMS, TREES, Ranker, _centred, fit_ranker, log_error, regret


def problem(images=120, n=6, weights=(1.0, 0.5, 0.0), seed=0, noise=0.05):
    """Log errors are a weighted sum of the features, plus something of each image's own."""
    g = np.random.default_rng(seed)
    features = g.normal(0, 1, (images, n, len(weights)))
    own = g.normal(-6, 1, (images, 1))
    logs = features @ np.asarray(weights) + own + noise * g.normal(0, 1, (images, n))
    return features, np.exp(logs), np.arange(images)


def score(state, features):
    return Ranker(state)(torch.from_numpy(features)).numpy()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_learns_to_pick_the_best_candidate(form):
    state = fit_ranker(*problem(), form=form)
    features, errors, _ = problem(seed=1)
    chance = float((log_error(errors).mean(1) - log_error(errors).min(1)).mean())
    assert regret(score(state, features), errors) < 0.25 * chance


def test_nonnegative_weights_stay_nonnegative_and_linear_ones_need_not():
    data = problem(weights=(1.0, -1.0, 0.0))
    assert min(fit_ranker(*data, form="nonnegative")["weights"]) >= 0
    assert fit_ranker(*data, form="linear")["weights"][1] < -0.5


def test_the_form_is_chosen_on_held_out_faces():
    # Free weights are needed here, and trees need more faces than these to come near.
    chosen = fit_ranker(*problem(weights=(1.0, -1.0, 0.5)))
    assert chosen["form"] == "linear"
    assert set(chosen["compared"]) == set(FORMS)
    assert chosen["compared"]["linear"] == min(chosen["compared"].values())


def test_boosted_scores_are_those_of_scikit_learn():
    features, errors, _ = problem()
    state = fit_ranker(features, errors, np.arange(120), form="boosted")
    wide = _centred(features)
    logs = log_error(errors)
    target = (logs - logs.mean(1, keepdims=True)).reshape(-1)
    model = GradientBoostingRegressor(**TREES).fit(wide.reshape(-1, wide.shape[2]), target)
    expected = model.predict(wide.reshape(-1, wide.shape[2])).reshape(features.shape[:2])
    assert np.abs(score(state, features) - expected).max() < 1e-6


def test_an_image_alone_is_scored_as_in_a_batch():
    features, errors, faces = problem()
    for form in FORMS:
        ranker = Ranker(fit_ranker(features, errors, faces, form=form))
        batch = torch.from_numpy(features).float()
        assert torch.equal(ranker(batch)[3:4], ranker(batch[3:4]))


def test_regret_is_the_log_ratio_of_picked_to_best():
    errors = np.array([[1.0, np.e], [np.e, 1.0]])
    assert regret(np.array([[0.0, 1.0], [0.0, 1.0]]), errors) == pytest.approx(0.5, abs=1e-4)

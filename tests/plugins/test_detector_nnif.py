"""NNIF: influence against retraining, ranks and distances against SciPy, its regression and classifier."""

import warnings

import numpy as np
import pytest
import torch
from detector_fakes import faces, fit_data, generator
from magdr_plugins.detectors._attributes import ClassifierPlan, labelled_outputs, train_classifier
from magdr_plugins.detectors._resnet import ResNet
from magdr_plugins.detectors.nnif import DEFAULTS, Index, fit_regression, log_odds
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

DAMPING = 0.05


def optimum(h, y, weight):
    """Weights of the damped logistic regression with these sample weights, by a general optimiser."""

    def loss(w):
        margin = h @ w
        value = (weight * (np.logaddexp(0, margin) - y * margin)).mean() + DAMPING / 2 * w @ w
        return value, h.T @ (weight * (expit(margin) - y)) / len(h) + DAMPING * w

    return minimize(loss, np.zeros(h.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-10}).x


def test_influence_is_what_retraining_with_more_weight_changes():
    rng = np.random.default_rng(0)
    net = ResNet(1, 1, 16)  # activations of 8 channels
    h = rng.normal(size=(30, 8)).astype(np.float32)
    y = (h[:, 0] + 0.5 * rng.normal(size=30) > 0).astype(float)
    full = np.concatenate([h, np.ones((30, 1))], 1).astype(float)
    w = optimum(full, y, np.ones(30))
    net.head.load_state_dict({"weight": torch.tensor(w[None, :8]), "bias": torch.tensor(w[8:])})
    labels = torch.tensor(y[:, None], dtype=torch.float32)
    test = rng.normal(size=(3, 8)).astype(np.float32)
    with torch.no_grad():
        found = Index(net, [torch.tensor(h)], labels, DAMPING).influence(torch.tensor(test)).numpy()

    def loss_at(w):
        margin = test @ w[:8] + w[8]
        return np.logaddexp(0, np.where(test @ start[:8] + start[8] > 0, -margin, margin))

    start, more = w, 1e-2
    for i in (0, 7, 19):
        weight = np.ones(30)
        weight[i] += more
        helped = -(loss_at(optimum(full, y, weight)) - loss_at(w)) / more * 30
        assert found[:, i] == pytest.approx(helped, rel=0.03, abs=2e-4)


def test_characteristics_are_scipys_ranks_and_distances_of_the_most_influential():
    plan = ClassifierPlan(2, 2, 48)
    data, G = fit_data(), generator()
    images, labels = labelled_outputs(data.clean, G, plan.outputs, data)
    net = train_classifier(images, labels, plan, data)
    with torch.no_grad():
        index = Index(net, net.activations(images), labels, DAMPING)
        fresh = faces(3, 9000)
        found = index.characteristics(fresh.images, (2, 5)).numpy()
        own = net.activations(fresh.images)
        order = np.argsort(-index.influence(own[-1]).numpy(), 1, kind="stable")
    assert found.shape == (3, 2, 4 * 5)
    for layer, (a, b) in enumerate(zip(own, index.layers, strict=True)):
        distance = cdist(a.numpy(), b.numpy())
        rank = rankdata(distance, axis=1, method="ordinal") - 1
        for t in range(3):
            for j, m in enumerate((2, 5)):
                helpful, harmful = order[t, :m], order[t, -m:]
                expected = [v[t, who].mean() for v in (rank, distance) for who in (helpful, harmful)]
                assert found[t, j, 4 * layer : 4 * layer + 4] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 3, (60, 4)), np.arange(60) % 2 > 0
    x[y] += 2
    other = make_pipeline(
        MinMaxScaler(),
        LogisticRegressionCV(cv=3, max_iter=20_000, class_weight="balanced", scoring="roc_auc", **DEFAULTS),
    ).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = log_odds(fit_regression(x, y), torch.tensor(x)).numpy()
    assert found == pytest.approx(other.decision_function(x), abs=1e-6)


def test_the_classifier_is_shown_every_face_under_other_conditions_too():
    data = fit_data(n=10)
    images, labels = labelled_outputs(data.clean, generator(), 30, data)
    assert images.shape == (30, 3, 16, 16)
    assert torch.equal(labels[:10], data.clean.conditions.values)
    assert torch.equal(images[:10], generator()(data.clean.images, data.clean.conditions))
    for i in range(3):  # every round deals out the same conditions
        assert torch.equal(labels[10 * i : 10 * i + 10].sum(0), labels[:10].sum(0))
    assert not torch.equal(labels[10:20], labels[:10])


def test_the_classifier_learns_the_condition_from_the_output():
    data, G = fit_data(n=32), generator()
    plan = ClassifierPlan(4, 12, 128)
    net = train_classifier(*labelled_outputs(data.clean, G, plan.outputs, data), plan, data)
    fresh = faces(30, 9000)
    with torch.no_grad():
        said = net(G(fresh.images, fresh.conditions)) > 0
    assert (said == (fresh.conditions.values > 0.5)).float().mean() > 0.85


def test_without_conditions_the_classifier_tells_outputs_from_inputs():
    data, G = fit_data(attributes=0, n=8), generator(attributes=0)
    images, labels = labelled_outputs(data.clean, G, 100, data)
    assert labels[:, 0].tolist() == [0] * 8 + [1] * 8
    assert torch.equal(images[:8], data.clean.images)
    assert torch.equal(images[8:], G(data.clean.images, data.clean.conditions))

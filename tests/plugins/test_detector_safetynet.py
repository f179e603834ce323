"""SafetyNet's codes by hand, and its machine against scikit-learn's."""

import numpy as np
import pytest
import torch
from detector_fakes import faces, fit_data, generator
from magdr_plugins.detectors._faces import learning_faces
from magdr_plugins.detectors.safetynet import SafetyNet, decision, encode, pooled, squared_distances
from sklearn.svm import SVC


def test_units_are_rectified_averages_over_cells():
    maps = torch.tensor([[1.0, -3.0, 2.0, 2.0], [1.0, 1.0, 2.0, -2.0]] * 2).reshape(1, 1, 4, 4)
    assert pooled(maps, 2).tolist() == [[0.75, 1.5, 0.75, 1.5]]


def test_a_code_counts_the_thresholds_that_are_exceeded():
    thresholds = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    units = torch.tensor([[0.5, 10.0], [2.5, 31.0]])
    assert encode(units, thresholds).tolist() == [[0, 0], [2, 3]]


def test_distances_of_codes_are_exact():
    codes = torch.randint(0, 4, (9, 500), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = (codes[:, None].int() - codes.int()).square().sum(2)
    assert torch.equal(squared_distances(codes, codes), expected.float())


@pytest.mark.parametrize("levels", [2, 4])
def test_every_level_is_used_equally_on_clean_faces(levels):
    detector = SafetyNet(layers=(1,), grids=(1,), levels=levels, costs=(1.0,), gammas=(1.0,))
    data = fit_data(n=40)
    detector.load(detector.fit(data, generator()))
    units = pooled(generator().features(data.clean.images, data.clean.conditions, 1), 1)
    shares = torch.bincount(encode(units, detector.machine["thresholds"]).flatten().int()) / units.numel()
    assert shares.tolist() == pytest.approx([1 / levels] * levels, abs=0.03)


def test_the_fitted_machine_is_scikit_learns():
    detector = SafetyNet(layers=(1,), grids=(2,), costs=(3.0,), gammas=(0.5,))
    data = fit_data()
    state = detector.fit(data, generator())
    detector.load(state)
    own = learning_faces(data)
    thresholds = detector.machine["thresholds"]

    def codes(samples):
        maps = generator().features(samples.images, samples.conditions, 1)
        return encode(pooled(maps, 2), thresholds)

    other = SVC(kernel="rbf", C=3.0, gamma=state["gamma"], class_weight="balanced")
    other.fit(codes(own.samples).numpy().astype(float), own.attacked)
    fresh = faces(10, 7000)
    expected = other.decision_function(codes(fresh).numpy().astype(float))
    found = decision(codes(fresh), detector.machine, state["gamma"], state["bias"])
    assert found.numpy() == pytest.approx(expected, abs=1e-3)
    assert np.allclose(detector(fresh.images, fresh.conditions, generator()), expected, atol=1e-3)

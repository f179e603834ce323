"""One-sided evidence: what looks cleaner than clean faces makes up for nothing."""

from dataclasses import replace

import pytest
import torch

from magdr_core.functional import part_index
from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.standardise import Standard
from tests.magdr.test_standard import evidence


def features(measured, form):
    detector = MagDRDetector(None, [], [], form=form)
    return detector.features(Standard.fit(evidence()).apply(measured))


def with_factors(measured, *, region=None, f_k=None, factor):
    distortion, consistency = measured.distortion.clone(), measured.consistency.clone()
    if region is not None:
        distortion[:, :, part_index(region)] *= factor
    if f_k is not None:
        consistency[:, f_k] *= factor
    return replace(measured, distortion=distortion, consistency=consistency)


@pytest.mark.parametrize("form", ["learned", "one-sided"])
def test_a_suspicious_region_counts(form):
    measured = evidence(50, seed=1)
    more = features(with_factors(measured, region="skin", factor=10.0), form)
    assert (more[:, :2] > features(measured, form)[:, :2]).all()


def test_a_region_that_is_too_clean_does_not_hide_another():
    suspicious = with_factors(evidence(50, seed=1), region="skin", factor=10.0)
    hidden = with_factors(suspicious, region="background", factor=1e-3)
    assert (features(hidden, "one-sided") >= 0).all()
    assert (features(hidden, "learned")[:, :2] < features(suspicious, "learned")[:, :2] - 0.3).all()
    assert (features(hidden, "one-sided")[:, :2] > features(suspicious, "one-sided")[:, :2] - 0.3).all()


def test_an_f_k_that_is_too_consistent_speaks_for_nothing():
    measured = evidence(50, seed=1)
    found = features(with_factors(measured, f_k=0, factor=1e-3), "one-sided")
    assert (found[:, 2:4] == 0).all()
    assert torch.equal(found[:, 4:], features(measured, "one-sided")[:, 4:])
    assert (features(with_factors(measured, f_k=0, factor=1e-3), "learned")[:, 2:4] < -2).all()

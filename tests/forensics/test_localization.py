"""How well pixels are found, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, roc_auc_score

from magdr_core.forensics.localization import alarms, overlap


def test_overlap_is_scikit_learns_picture_by_picture():
    g = torch.Generator().manual_seed(0)
    masks = (torch.rand(4, 1, 12, 10, generator=g) < 0.3).float()
    located = (0.6 * masks + 0.7 * torch.rand(4, 1, 12, 10, generator=g)).clamp(0, 1)
    found = overlap(located, masks)
    for i in range(4):
        truth, weight = masks[i].flatten().numpy() > 0, located[i].flatten().numpy()
        said = weight > 0.5
        assert found["iou"][i] == pytest.approx(jaccard_score(truth, said))
        assert found["pixel_f1"][i] == pytest.approx(f1_score(truth, said))
        assert found["pbca"][i] == pytest.approx(accuracy_score(truth, said))
        assert found["pixel_auc"][i] == pytest.approx(roc_auc_score(truth, weight))


def test_an_empty_mask_overlaps_with_nothing_and_is_right_about_much():
    masks = torch.zeros(1, 1, 10, 10)
    masks[..., :1, :6] = 1
    found = overlap(torch.zeros(1, 1, 10, 10), masks)
    assert (found["iou"], found["pixel_f1"], found["pbca"]) == ([0.0], [0.0], [0.94])


def test_pixels_of_a_whole_forgery_have_no_auc():
    assert "pixel_auc" not in overlap(torch.rand(2, 1, 4, 4), torch.ones(2, 1, 4, 4))


def test_a_picture_whose_mask_is_not_known_is_marked_and_none_is_measured_where_none_is():
    masks = torch.zeros(3, 1, 4, 4)
    masks[1, :, :2] = 1
    located = torch.ones(3, 1, 4, 4)
    found = overlap(located, masks)
    assert found["mask_known"] == [0.0, 1.0, 0.0]
    assert found["iou"] == found["pbca"] == [0.0, 0.5, 0.0]
    assert found["pixel_auc"] == [0.0, 0.5, 0.0]
    assert overlap(located, torch.zeros(3, 1, 4, 4)) == {}


def test_alarms_are_shares_of_real_pixels_and_regions_of_over_a_hundredth():
    located = torch.zeros(3, 1, 10, 20)
    located[1, 0, 0, :2] = 0.9  # a hundredth, and no more
    located[2, 0, 0, :3] = 0.9
    found = alarms(located)
    np.testing.assert_allclose(found["alarm_pixels"], [0, 0.01, 0.015])
    assert found["alarm_region"] == [0, 0, 1]

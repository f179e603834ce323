"""Standardised evidence on synthetic measurements."""

import numpy as np
import pytest
import scipy.stats
import torch

from magdr_core.functional import PARTS, part_index
from magdr_core.magdr.evidence import Evidence
from magdr_core.magdr.standardise import FLOOR, MIN_COUNT, Standard, target_names


def evidence(n=200, *, part="hair", shift=0.0, seed=0):
    """Log-normal distances: regions differ in scale, criteria too."""
    g = torch.Generator().manual_seed(seed)
    N, J, K = len(PARTS), 2, 3
    scale = torch.linspace(-5, -2, N) + torch.tensor([[0.0], [2.0]])
    target = torch.zeros(n, N, dtype=torch.bool)
    target[:, part_index(part)] = True
    others = ~target
    others[:, part_index("hat")] = False  # nobody wears one
    return Evidence(
        distortion=(scale + 0.3 * torch.randn(n, J, N, generator=g) + shift).exp(),
        consistency=(-4 + 0.5 * torch.randn(n, K, J, generator=g) + shift).exp(),
        others=others,
        target=target,
    )


def test_clean_scores_have_mean_zero_and_unit_spread():
    z = Standard.fit(evidence()).apply(evidence())
    for score in (z.distortion, z.consistency):
        assert score.mean().item() == pytest.approx(0, abs=1e-3)
        assert score.std().item() == pytest.approx(1, abs=1e-2)


def test_larger_distances_score_higher():
    standard = Standard.fit(evidence())
    clean, shifted = standard.apply(evidence(seed=1)), standard.apply(evidence(seed=1, shift=0.3))
    assert (shifted.distortion > clean.distortion).all()
    assert (shifted.consistency > clean.consistency).all()


def test_the_target_and_absent_regions_are_left_out():
    z = Standard.fit(evidence()).apply(evidence(4))
    assert z.regions[:, part_index("hair")].isnan().all()
    assert z.regions[:, part_index("hat")].isnan().all()
    assert not z.regions[:, part_index("skin")].isnan().any()


def test_a_target_region_that_was_never_seen_is_not_covered():
    standard = Standard.fit(evidence())
    assert standard.apply(evidence(3)).covered.all()
    assert not standard.apply(evidence(3, part="mouth")).covered.any()


def test_each_target_region_has_its_own_statistics():
    hair, mouth = evidence(seed=1), evidence(part="mouth", shift=1.0, seed=2)
    standard = Standard.fit(Evidence.cat([hair, mouth]))
    # The mouth edits change everything else more; that is normal for them and must not count.
    assert abs(standard.apply(mouth).regions[:, part_index("skin")].mean()) < 0.1


def test_scores_of_an_image_do_not_depend_on_its_batch():
    standard, batch = Standard.fit(evidence()), evidence(8, seed=3)
    alone = Evidence(*(getattr(batch, f)[2:3] for f in ("distortion", "consistency", "others", "target")))
    assert torch.equal(standard.apply(batch).distortion[2:3], standard.apply(alone).distortion)


def test_too_few_faces_are_refused():
    with pytest.raises(ValueError, match="too few"):
        Standard.fit(evidence(MIN_COUNT - 1))


def test_no_other_region_at_all_gives_a_finite_score():
    standard, batch = Standard.fit(evidence()), evidence(2)
    batch.others[:] = False
    assert torch.isfinite(standard.apply(batch).distortion).all()


def test_target_names_list_the_parts():
    row = torch.zeros(len(PARTS), dtype=torch.bool)
    assert target_names(row[None]) == ["none"]
    row[[part_index("eyes"), part_index("brows")]] = True
    assert target_names(row[None]) == ["brows+eyes"]


@pytest.mark.parametrize("per_edit", [False, True])
def test_consistency_is_in_units_of_all_edits_or_of_ones_own(per_edit):
    hair, mouth = evidence(seed=1), evidence(part="mouth", shift=1.0, seed=2)
    both = Evidence.cat([hair, mouth])
    z = Standard.fit(both, per_edit=per_edit).apply(both).consistency_by.numpy()
    for seen in (np.s_[:200], np.s_[200:]) if per_edit else (np.s_[:],):
        expected = scipy.stats.zscore(np.log(both.consistency.numpy()[seen] + FLOOR), ddof=1)
        np.testing.assert_allclose(z[seen], expected, atol=1e-4)


def test_an_edit_of_which_there_are_few_faces_is_measured_against_all():
    rare = evidence(MIN_COUNT - 1, part="mouth", shift=1.0)
    both = Evidence.cat([evidence(), rare])
    found = [Standard.fit(both, per_edit=p).apply(rare).consistency_by for p in (False, True)]
    assert torch.equal(*found)

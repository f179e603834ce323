"""ME-Net: matrix estimation against plain numpy, masks by sample, the same for every batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.defenses._matrix_completion import nuclear, soft_impute, soft_threshold, usvt
from magdr_plugins.defenses.me_net import MENet, one_above_another, side_by_side

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDefense
from tests.edits import edited

METHODS = ["usvt", "soft-impute", "nuclear"]


def matrices(n, height=12, width=30, keep=0.8, rank=None, noise=0.1):
    """Nearly low-rank matrices and random masks, float64."""
    g = np.random.default_rng(0)
    rank = rank or 3
    low = g.normal(size=(n, height, rank)) @ g.normal(size=(n, rank, width)) / 2
    matrix = low + noise * g.normal(size=low.shape)
    return torch.from_numpy(matrix), torch.from_numpy((g.random(low.shape) < keep).astype(float))


def pictures(n, height=16, width=12):
    g = torch.Generator().manual_seed(0)
    x = F.interpolate(torch.rand(n, 3, 4, 4, generator=g), (height, width), mode="bicubic")
    return (x.clamp(0, 1) * 255).round() / 255


def defense(**params):
    """A function of (images, ids, seed), through core's wrapper."""
    guarded = GuardedDefense(MENet(**params), "me-net", stochastic=True)

    def call(x, ids=None, seed=0):
        names = [f"face-{i}" for i in (range(len(x)) if ids is None else ids)]
        c = Condition(torch.zeros(len(x), 2), torch.ones(len(x), 2, dtype=torch.bool))
        return guarded(x, c, None, rng=SampleRng(seed, "defense/x", names))

    return call


# -- the estimates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 4, 9, 12])
def test_usvt_equals_numpy(rank):
    matrix, mask = matrices(3)
    for a, m, got in zip(matrix.numpy(), mask.numpy(), usvt(matrix, mask, rank).numpy(), strict=True):
        u, s, vh = np.linalg.svd(a * m)
        diagonal = np.zeros(a.shape)
        diagonal[range(rank), range(rank)] = s[:rank]
        assert np.allclose(got, u @ diagonal @ vh / m.mean(), atol=1e-10)


def test_usvt_of_nothing_is_zero():
    matrix, _ = matrices(2)
    assert torch.equal(usvt(matrix, torch.zeros_like(matrix), 5), torch.zeros_like(matrix))


def plain_soft_impute(a, mask):
    """Observed entries stay, missing ones come from the thresholded decomposition."""
    filled = np.where(mask > 0, a, 0.0)
    threshold = np.linalg.svd(filled, compute_uv=False)[0] / 50
    steps = 0
    for steps in range(1, 101):  # noqa: B007
        u, s, vh = np.linalg.svd(filled, full_matrices=False)
        estimate = (u * np.maximum(s - threshold, 0)) @ vh
        old, new = filled[mask == 0], estimate[mask == 0]
        filled = np.where(mask > 0, a, estimate)
        if np.sqrt(((new - old) ** 2).sum()) <= 1e-3 * np.sqrt((old**2).sum()):
            break
    return filled, steps


@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_soft_impute_equals_a_plain_loop(keep):
    matrix, mask = matrices(4, keep=keep)
    steps = set()
    for a, m, got in zip(matrix.numpy(), mask.numpy(), soft_impute(matrix, mask).numpy(), strict=True):
        expected, taken = plain_soft_impute(a, m)
        assert np.allclose(got, expected, atol=1e-9)
        assert np.array_equal(got[m == 1], a[m == 1])
        steps.add(taken)
    assert len(steps) > 1 if keep == 0.9 else steps == {100}, "each stops on its own, or at the limit"


def test_soft_impute_finds_what_is_missing():
    matrix, mask = matrices(3, 30, 60, keep=0.7, noise=0.0)
    error = (soft_impute(matrix, mask) - matrix)[mask == 0]
    assert error.square().mean() < 0.05 * matrix.square().mean()


def test_soft_impute_without_gaps_is_the_identity():
    matrix, _ = matrices(2)
    assert torch.equal(soft_impute(matrix, torch.ones_like(matrix)), matrix)


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (7, 7)])
def test_thresholding_equals_numpys_decomposition(shape):
    x = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    thresholds = torch.tensor([0.5, 2.0, 100.0], dtype=torch.float64)[:, None, None]
    for a, t, got in zip(
        x.numpy(), thresholds.flatten().tolist(), soft_threshold(x, thresholds), strict=True
    ):
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        assert np.allclose(got.numpy(), (u * np.maximum(s - t, 0)) @ vh, atol=1e-9)


def nuclear_objective(x, a, mask, mu):
    return mu * np.linalg.svd(x, compute_uv=False).sum() + (mask * (x - a) ** 2).sum()


def plain_nuclear(a, mask, mu):
    """Many plain proximal gradient steps of half the safe length."""
    x = np.zeros_like(a)
    for _ in range(3000):
        u, s, vh = np.linalg.svd(x - 0.25 * 2 * mask * (x - a), full_matrices=False)
        x = (u * np.maximum(s - 0.25 * mu, 0)) @ vh
    return x


@pytest.mark.parametrize(("keep", "mu"), [(0.9, 1.0), (0.5, 1.0), (0.8, 4.0)])
def test_nuclear_norm_is_minimised(keep, mu):
    matrix, mask = matrices(2, 8, 20, keep=keep)
    for a, m, got in zip(matrix.numpy(), mask.numpy(), nuclear(matrix, mask, mu=mu).numpy(), strict=True):
        reference = nuclear_objective(plain_nuclear(a, m, mu), a, m, mu)
        value = nuclear_objective(got, a, m, mu)
        assert value <= reference * (1 + 1e-4)
        assert value < 0.9 * min(nuclear_objective(x, a, m, mu) for x in (np.zeros_like(a), a, a * m))
        # A fixed point of the proximal map with another step than the solver's.
        u, s, vh = np.linalg.svd(got - 0.1 * 2 * m * (got - a), full_matrices=False)
        moved = (u * np.maximum(s - 0.1 * mu, 0)) @ vh - got
        assert np.linalg.norm(moved) < 1e-3 * np.linalg.norm(got)


def test_nuclear_norm_of_everything_observed_is_one_threshold():
    matrix, mask = matrices(2)
    got = nuclear(matrix, torch.ones_like(mask), mu=3.0)
    threshold = torch.full((2, 1, 1), 1.5, dtype=torch.float64)
    assert torch.allclose(got, soft_threshold(matrix, threshold), atol=1e-10)


@pytest.mark.parametrize("estimate", [soft_impute, nuclear])
def test_a_matrix_is_estimated_the_same_in_every_batch(estimate):
    matrix, mask = matrices(5, keep=0.6)
    scale = torch.tensor([0.1, 1, 3, 10, 1], dtype=torch.float64)[:, None, None]
    whole = estimate(matrix * scale, mask)
    for i in range(5):
        alone = estimate((matrix * scale)[i : i + 1], mask[i : i + 1])
        assert torch.allclose(alone[0], whole[i], rtol=0, atol=1e-11)


# -- the defense ----------------------------------------------------------------------------------------


def test_channels_lie_side_by_side():
    x = pictures(2)
    matrix = side_by_side(x)
    assert matrix.shape == (2, 16, 36)
    assert torch.equal(matrix[:, :, 12:24], x[:, 1])
    assert torch.equal(one_above_another(matrix), x)


@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_the_whole_defense_equals_numpy(keep):
    """USVT from 8-bit image to 8-bit image, with the mask that the sample's stream gives."""
    x = pictures(3)
    y = defense(keep=keep)(x)
    draws = SampleRng(0, "defense/x", ["face-0", "face-1", "face-2"]).uniform(16, 36).numpy()
    for picture, u01, got in zip(x.double().numpy(), draws, y.numpy(), strict=True):
        a = np.concatenate(list(2 * picture - 1), axis=1)
        mask = u01 < keep
        u, s, vh = np.linalg.svd(a * mask, full_matrices=False)
        s[int(0.8 * 16) :] = 0
        estimate = np.clip((u * s) @ vh / mask.mean(), -1, 1)
        levels = np.rint((estimate + 1) / 2 * 255)
        expected = np.stack(np.split(levels, 3, axis=1)) / 255
        assert np.abs(got - expected).max() < 1.01 / 255  # a rounding may fall to either side
        assert np.mean(np.abs(got - expected) > 1e-6) < 0.001


@pytest.mark.parametrize("method", METHODS)
def test_masks_keep_their_share_and_the_picture_stays(method):
    x = pictures(4)
    y = defense(method=method)(x)
    strong = defense(method=method, keep=0.5)(x)
    assert 0 < (y - x).square().mean() < (strong - x).square().mean() < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_an_image_gets_the_same_bits_in_every_batch(method):
    call, x = defense(method=method, keep=0.7), pictures(5)
    whole = call(x)
    assert torch.equal(call(x), whole), "repeats"
    assert not torch.equal(call(x, seed=1), whole)
    for ids in ([0], [4], [3, 1], list(range(4, -1, -1))):
        assert torch.equal(call(x[ids], ids), whole[ids])


def test_equal_pictures_with_other_ids_are_masked_elsewhere():
    y = defense(keep=0.5)(pictures(1).expand(2, -1, -1, -1))
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_is_the_identitys(method):
    x = pictures(2).requires_grad_()
    weight = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((defense(method=method)(x) * weight).sum(), x)
    assert torch.equal(gradient, weight)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_soft_impute_keeps_flat_pictures(level):
    x = torch.full((2, 3, 16, 16), level)
    assert (defense(method="soft-impute")(x) - x).abs().max() < 0.05


def test_a_registry_reaches_every_parameter_and_is_checked(toolkit_from):
    table = (
        "[defense.yang]\nuse = 'me-net'\nparams = { method = 'nuclear', keep = 0.5, mu = 2, rank = 0.5 }\n"
    )
    guarded = toolkit_from(table).build("defense", "yang")
    assert guarded.stochastic
    assert (guarded.component.method, guarded.component.keep, guarded.component.mu) == ("nuclear", 0.5, 2)
    with pytest.raises(MagdrError, match=r"\[defense.yang\].*keep"):
        toolkit_from(edited(table, ("keep = 0.5", "keep = 0"))).build("defense", "yang")

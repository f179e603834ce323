"""The controls that stand beside every forensic table: global statistics, and a constant mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magdr_plugins.forensics.constant_mask import ConstantMask
from magdr_plugins.forensics.statistics import Statistics, global_statistics, logistic_regression
from scipy.fft import dctn
from scipy.ndimage import laplace
from scipy.stats import skew
from sklearn.linear_model import LogisticRegression

from magdr_core.api import DataError, ForensicData
from magdr_core.functional import gaussian_blur, luma, to_8bit

X = to_8bit(gaussian_blur(torch.rand(4, 3, 24, 35, generator=torch.Generator().manual_seed(0)), 0.6))


def data(real, fake, masks=None):
    n = len(real)
    masks = torch.ones(n, 1, *real.shape[2:]) if masks is None else masks
    names = tuple(str(i) for i in range(n))
    return ForensicData(real, fake, masks, ("f",) * n, ("local",) * n, ("",) * n, names)


def test_the_24_statistics_are_those_of_scipy():
    found = global_statistics(X).numpy()
    assert found.shape == (4, 24)
    for picture, values in zip(X, found, strict=True):
        y = luma(picture[None].double())[0, 0].numpy()
        blocks = y[:24, :32].reshape(3, 8, 4, 8).swapaxes(1, 2).reshape(-1, 8, 8)
        energy = (dctn(blocks, axes=(1, 2), norm="ortho") ** 2).mean(0)
        order = np.add.outer(np.arange(8), np.arange(8))
        bands = [energy[(order > 1.75 * b) & (order <= 1.75 * (b + 1))].mean() for b in range(8)]
        np.testing.assert_allclose(values[:8], np.log(np.array(bands) + 1e-8), rtol=1e-6)
        sizes = np.abs(laplace(y)[1:-1, 1:-1]).ravel()
        quantiles = [
            np.quantile(sizes, q, method="nearest") for q in (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
        ]
        np.testing.assert_allclose(values[8:15], np.log(np.array(quantiles) + 1e-4), rtol=1e-5)
        colours = picture.double().flatten(1).numpy()
        np.testing.assert_allclose(values[15:18], colours.mean(1), rtol=1e-9)
        np.testing.assert_allclose(values[18:21], colours.std(1), rtol=1e-9)
        np.testing.assert_allclose(values[21:], skew(colours, axis=1), atol=5e-2)


def test_pictures_without_a_block_are_refused():
    with pytest.raises(DataError, match="7x20 pixels have no block"):
        global_statistics(torch.rand(1, 3, 20, 7))


def test_the_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))
    labels = (x @ [1, -2, 0, 0.5, 0] + 0.3 + rng.logistic(size=300) > 0).astype(float)
    ridge = 0.01
    reference = LogisticRegression(C=1 / (ridge * 300), tol=1e-10, max_iter=10_000).fit(x, labels)
    found = logistic_regression(torch.from_numpy(x), torch.from_numpy(labels), ridge).numpy()
    np.testing.assert_allclose(found[:-1], reference.coef_[0], atol=1e-5)
    np.testing.assert_allclose(found[-1], reference.intercept_[0], atol=1e-5)


def test_statistics_tell_soft_pictures_from_sharp_ones():
    real = to_8bit(torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    model = Statistics()
    model.load(model.fit(data(real, to_8bit(gaussian_blur(real, 0.6)))))
    fresh = to_8bit(torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(2)))
    assert float(model.score(fresh).max()) < 0 < float(model.score(to_8bit(gaussian_blur(fresh, 0.6))).min())


def test_the_constant_mask_is_cut_where_it_overlaps_most():
    masks = torch.zeros(4, 1, 8, 8)
    masks[:, :, :4, :4] = 1  # all four here
    masks[:3, :, 4:, 4:] = 1  # three of them there too
    masks[0, :, :, 7] = 1  # one of them at the side
    x = torch.rand(4, 3, 8, 8)
    model = ConstantMask()
    model.load(model.fit(data(x, x, masks)))
    expected = torch.zeros(8, 8)
    expected[:4, :4] = expected[4:, 4:] = 1
    assert torch.equal((model.locate(x)[0, 0] > 0.5).float(), expected)
    assert model.score(x).tolist() == [0.0] * 4


def test_the_constant_mask_fits_pictures_of_another_size():
    masks = torch.zeros(2, 1, 8, 8)
    masks[..., :4, :] = 1
    x = torch.rand(2, 3, 8, 8)
    model = ConstantMask()
    model.load(model.fit(data(x, x, masks)))
    located = model.locate(torch.rand(3, 3, 16, 12))
    assert located.shape == (3, 1, 16, 12)
    assert bool((located[:, :, :7] > 0.5).all())
    assert bool((located[:, :, 9:] < 0.5).all())

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from magdr_core.functional import dct_threshold, psnr


def _by_hand(image, threshold, n):
    """Every window in turn, with SciPy's transforms."""
    reach = n - 1
    colours = scipy.fft.dct(np.eye(3), axis=0, norm="ortho")
    planes = np.tensordot(colours, image, 1)
    padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    total = np.zeros_like(padded)
    for c in range(3):
        for i in range(padded.shape[1] - reach):
            for j in range(padded.shape[2] - reach):
                window = scipy.fft.dctn(padded[c, i : i + n, j : j + n], norm="ortho")
                keep = np.abs(window) >= threshold
                keep[0, 0] = True
                total[c, i : i + n, j : j + n] += scipy.fft.idctn(window * keep, norm="ortho")
    return np.clip(np.tensordot(colours.T, total[:, reach:-reach, reach:-reach] / n**2, 1), 0, 1)


@pytest.mark.parametrize(("block", "threshold"), [(8, 0.2), (5, 0.1), (2, 0.05)])
def test_dct_threshold_equals_scipy(noisy, block, threshold):
    x = noisy(1, 9, 12)[1]
    reference = _by_hand(x[0].double().numpy(), threshold, block)
    assert np.abs(dct_threshold(x, threshold, block)[0].numpy() - reference).max() < 3e-6
    assert np.abs(dct_threshold(x.double(), threshold, block)[0].numpy() - reference).max() < 1e-12


def test_dct_threshold_of_zero_changes_nothing_and_a_huge_one_leaves_means(noisy):
    x = noisy(2, 10, 13)[1]
    assert torch.allclose(dct_threshold(x, 0.0), x, atol=2e-6)
    steady = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(1, 3, 10, 13)
    assert torch.allclose(dct_threshold(steady, 99.0), steady, atol=2e-6)
    assert dct_threshold(x, 99.0).flatten(2).std(2).max() < x.flatten(2).std(2).min() / 2


def test_dct_threshold_of_three_sigma_removes_noise(noisy):
    clean, x = noisy(2, 45, 64)
    assert (psnr(dct_threshold(x, 0.3), clean) > psnr(x, clean) + 5).all()


def test_wrong_dct_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: dct_threshold(x, -0.1), "threshold"),
        (lambda: dct_threshold(x, 0.1, 1), "block"),
        (lambda: dct_threshold(x, 0.1, 17), "block"),
        (lambda: dct_threshold(x[:, :1], 0.1), "3 channels"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

"""Wavelets against PyWavelets and scikit-image (stored figures; the packages themselves where installed)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from magdr_core.functional import (
    average_over_shifts,
    inverse_wavelet_transform,
    psnr,
    wavelet_denoise,
    wavelet_threshold,
    wavelet_transform,
)

FAMILIES = ("db1", "db2", "db3", "db4")
SIZES = [(16, 16), (13, 10), (7, 31), (3, 2), (1, 1)]

# skimage.restoration.denoise_wavelet 0.26 (PyWavelets 1.8), wavelet_levels=1, clipped to [0,1], on _ramp().
GOLDEN = [
    ({"wavelet": "db1", "sigma": None}, """
        0.006932 0.069835 0.157912 0.185521 0.267716 0.342384 0.405050
        0.087028 0.149931 0.296832 0.324441 0.406636 0.481304 0.496911
        0.163794 0.273756 0.338304 0.436501 0.518696 0.522776 0.608971
        0.243891 0.353853 0.477224 0.575421 0.657616 0.661696 0.700833
        0.320657 0.477678 0.518696 0.522776 0.604971 0.703168 0.812893
        0.400754 0.557774 0.657616 0.661696 0.743891 0.842088 0.904754"""),
    ({"wavelet": "db2", "sigma": 0.02}, """
        0.000000 0.067021 0.148831 0.196983 0.266009 0.341797 0.389738
        0.087195 0.166849 0.279879 0.330393 0.405789 0.492876 0.505315
        0.160095 0.266147 0.338427 0.448385 0.500972 0.531520 0.592387
        0.239262 0.369381 0.473674 0.577708 0.645060 0.679307 0.709455
        0.317275 0.472472 0.513584 0.531795 0.610289 0.703254 0.788981
        0.395856 0.576048 0.656253 0.666300 0.730801 0.863702 0.912045"""),
    ({"wavelet": "db3", "sigma": 0.01, "method": "VisuShrink"}, """
        0.025496 0.078487 0.147893 0.217605 0.286903 0.359643 0.393610
        0.095944 0.173292 0.267129 0.332047 0.406586 0.479330 0.502507
        0.162926 0.264607 0.316520 0.438486 0.497726 0.547451 0.582577
        0.251938 0.369012 0.459065 0.580384 0.632000 0.670029 0.695162
        0.336773 0.473748 0.513179 0.548340 0.630795 0.733821 0.781647
        0.418067 0.589219 0.648902 0.659319 0.748092 0.866306 0.904250"""),
]  # fmt: skip


def _ramp():
    i, j = torch.arange(6)[:, None], torch.arange(7)[None]
    return ((20 * i + 17 * j + (i * j * j) % 7 * 6) / 255).float()[None, None]


@pytest.mark.parametrize(("options", "expected"), GOLDEN, ids=["bayes-estimated", "bayes", "visu"])
def test_wavelet_denoise_equals_scikit_image_stored(options, expected):
    reference = np.array(expected.split(), dtype=float).reshape(6, 7)
    ours = wavelet_denoise(_ramp(), levels=1, **options)[0, 0].numpy()
    assert np.abs(ours - reference).max() < 1.5e-6  # half a unit of the stored digits, and float32


@pytest.mark.parametrize("wavelet", FAMILIES)
@pytest.mark.parametrize("sigma", [None, 0.03])
@pytest.mark.parametrize("method", ["BayesShrink", "VisuShrink"])
def test_wavelet_denoise_equals_scikit_image(noisy, wavelet, sigma, method):
    pytest.importorskip("pywt")
    from skimage.restoration import denoise_wavelet

    x = noisy(1, 37, 53)[1][:, :1]
    for levels in (None, 2):
        reference = denoise_wavelet(
            x[0, 0].double().numpy(), sigma=sigma, wavelet=wavelet, method=method, wavelet_levels=levels
        )
        ours = wavelet_denoise(x, sigma=sigma, levels=levels, wavelet=wavelet, method=method)[0, 0]
        assert np.abs(ours.numpy() - reference.clip(0, 1)).max() < 3e-6


@pytest.mark.parametrize("wavelet", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_wavelet_transform_equals_pywavelets(wavelet, size):
    pywt = pytest.importorskip("pywt")
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth, details = wavelet_transform(x, 2, wavelet)
    reference = pywt.wavedec2(x.numpy(), wavelet, mode="symmetric", level=2)
    assert np.abs(smooth.numpy() - reference[0]).max() < 1e-12
    for ours, theirs in zip(details, reversed(reference[1:]), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a.numpy() - b).max() < 1e-12


@pytest.mark.parametrize("wavelet", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("levels", [1, 3])
def test_wavelet_transform_is_undone_at_any_size(wavelet, size, levels):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth, details = wavelet_transform(x, levels, wavelet)
    assert len(details) == levels
    assert (inverse_wavelet_transform(smooth, details, size, wavelet) - x).abs().max() < 1e-13
    smooth, details = wavelet_transform(x.float(), levels, wavelet)
    assert (inverse_wavelet_transform(smooth, details, size, wavelet) - x).abs().max() < 3e-6


def test_haar_transform_on_a_hand_computed_image():
    x = torch.tensor([[1.0, 2.0, 6.0], [3.0, 8.0, 4.0]]).reshape(1, 1, 2, 3)
    smooth, [(rows, columns, both)] = wavelet_transform(x, 1)
    # The third column is mirrored: blocks (1 2 / 3 8) and (6 6 / 4 4), sums and differences over 2.
    for band, expected in ((smooth, [7, 10]), (rows, [-4, 2]), (columns, [-3, 0]), (both, [2, 0])):
        assert torch.allclose(band[0, 0], torch.tensor([expected]).float(), atol=1e-6)


@pytest.mark.parametrize(("wavelet", "degree"), [("db1", 0), ("db2", 1), ("db3", 2), ("db4", 3)])
def test_wavelets_do_not_see_polynomials_and_keep_energy(wavelet, degree):
    """What defines dbN: N vanishing moments, and an orthonormal filter bank."""
    t = torch.arange(40, dtype=torch.float64) / 40
    x = (t**degree + 0.3).expand(1, 1, 40, 40)
    _, [(_, columns, _)] = wavelet_transform(x, 1, wavelet)
    inside = columns[..., 4:-4]
    assert inside.abs().max() < 1e-11
    island = torch.zeros(1, 1, 40, 40, dtype=torch.float64)
    island[..., 15:24, 15:24] = torch.rand(9, 9, generator=torch.Generator().manual_seed(0)).double()
    smooth, [bands] = wavelet_transform(island, 1, wavelet)
    energy = sum(band.square().sum() for band in (smooth, *bands))
    assert energy.item() == pytest.approx(island.square().sum().item(), rel=1e-10)


def test_bayes_threshold_on_a_hand_computed_image():
    # Haar on 2x2 blocks whose rows are equal: only column details (a - b). Blocks of +-.2 and +-.4.
    block = torch.tensor([[0.4, 0.6], [0.4, 0.6]]), torch.tensor([[0.7, 0.3], [0.7, 0.3]])
    x = torch.cat(block, 1).reshape(1, 1, 2, 4)
    sigma, power = 0.1, (0.2**2 + 0.4**2) / 2
    threshold = sigma**2 / math.sqrt(power - sigma**2)
    small, large = 0.2 - threshold, 0.4 - threshold
    expected = torch.tensor([0.5 - small / 2, 0.5 + small / 2, 0.5 + large / 2, 0.5 - large / 2])
    ours = wavelet_denoise(x, sigma=sigma, levels=1)
    assert torch.allclose(ours[0, 0], expected.expand(2, 4), atol=1e-6)


def test_fixed_threshold_on_a_hand_computed_image():
    x = torch.tensor([[0.4, 0.6, 0.7, 0.3], [0.4, 0.6, 0.7, 0.3]]).reshape(1, 1, 2, 4)
    hard = wavelet_threshold(x, 0.3, levels=1, mode="hard")[0, 0, 0]
    soft = wavelet_threshold(x, 0.3, levels=1)[0, 0, 0]
    assert hard.tolist() == pytest.approx([0.5, 0.5, 0.7, 0.3], abs=1e-6)
    assert soft.tolist() == pytest.approx([0.5, 0.5, 0.55, 0.45], abs=1e-6)
    assert torch.allclose(wavelet_threshold(x, 0.0), x, atol=1e-6)


def test_wavelet_noise_is_estimated_for_each_image(photos):
    """The estimate equals the given sigma of the same size, whatever else is in the batch."""
    flat = torch.full((2, 3, 64, 64), 0.5)
    noise = torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    x = flat + torch.tensor([0.02, 0.06]).reshape(2, 1, 1, 1) * noise
    for i, sigma in enumerate((0.02, 0.06)):
        estimated = wavelet_denoise(x, levels=2)[i : i + 1]
        given = [wavelet_denoise(x[i : i + 1], sigma=s, levels=2) for s in (0.9 * sigma, 1.1 * sigma)]
        roughness = [(y - 0.5).abs().mean().item() for y in (given[1], estimated, given[0])]
        assert roughness == sorted(roughness)


def test_wavelet_noise_estimate_leaves_flat_areas_out():
    x = torch.zeros(1, 1, 32, 32)
    x[..., :8, :8] = 0.5 + 0.1 * torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(wavelet_denoise(x, levels=1), x, atol=1e-3), (
        "most details are 0, the noise is not"
    )
    assert torch.allclose(wavelet_denoise(torch.full((1, 3, 9, 9), 0.3)), torch.tensor(0.3), atol=1e-6)


def test_wavelets_remove_noise_and_shifts_help(noisy):
    clean, x = noisy(2, 61, 64)
    for f in (
        lambda y: wavelet_denoise(y, sigma=0.1, levels=3),
        lambda y: wavelet_threshold(y, 0.25, levels=3, mode="hard"),
    ):
        once, four = psnr(f(x), clean), psnr(average_over_shifts(x, f, 2), clean)
        assert (once > psnr(x, clean) + 1.5).all()
        assert (four > once + 0.5).all()


def test_average_over_shifts_is_the_mean_of_moved_results(photos):
    x = photos(1, 9, 12)
    assert torch.allclose(average_over_shifts(x, lambda y: y, 3), x, atol=1e-6)
    pad = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 0), (1, 0)), mode="symmetric")
    moved = wavelet_threshold(torch.from_numpy(pad), 0.1, levels=1)[..., 1:, 1:]
    one = [wavelet_threshold(torch.from_numpy(pad[..., dy:, dx:]), 0.1, levels=1) for dy, dx in [(1, 1)]]
    row = wavelet_threshold(torch.from_numpy(pad[..., 1:, :]), 0.1, levels=1)[..., 1:]
    column = wavelet_threshold(torch.from_numpy(pad[..., :, 1:]), 0.1, levels=1)[..., 1:, :]
    expected = (one[0] + row + column + moved) / 4
    ours = average_over_shifts(x, lambda y: wavelet_threshold(y, 0.1, levels=1), 2)
    assert torch.allclose(ours, expected, atol=1e-6)


def test_wrong_wavelet_arguments_are_refused():
    x = torch.zeros(1, 1, 8, 8)
    for call, word in (
        (lambda: wavelet_denoise(x, wavelet="db9"), "wavelet"),
        (lambda: wavelet_denoise(x, method="SureShrink"), "method"),
        (lambda: wavelet_denoise(x, sigma=-0.1), "sigma"),
        (lambda: wavelet_denoise(x, levels=0), "levels"),
        (lambda: wavelet_denoise(x[0]), "B,C,H,W"),
        (lambda: wavelet_threshold(x, -1.0), "threshold"),
        (lambda: wavelet_threshold(x, 0.1, mode="firm"), "mode"),
        (lambda: average_over_shifts(x, lambda y: y, 0), "shifts"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

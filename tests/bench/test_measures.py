"""Per-image measures of Table 2: against independent ones, and per image whatever the batch."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from magdr_core.bench.evaluate import encoder_label
from magdr_core.functional import fsim
from magdr_core.measures.image_quality import Yardstick
from magdr_core.registry.settings import Profile


class Encoder:
    """Two layers of features; the deepest one is what counts."""

    def features(self, x):
        deep = torch.nn.functional.avg_pool2d(x, 4)
        return [x, torch.cat([deep, deep.square()], 1)]


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(20, 3, 8, 8, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    return clean, noisy


def test_measures_equal_independent_ones(pair):
    clean, noisy = pair
    values = Yardstick(clean, Encoder()).compare(noisy, "o")
    assert set(values) == {"mse_o", "ssim_o", "psnr_o", "fsim_o", "featsim_o"}
    assert values["fsim_o"] == pytest.approx(fsim(clean, noisy).tolist())
    for i in (0, 19):
        a, b = (t[i].permute(1, 2, 0).double().numpy() for t in (clean, noisy))
        assert values["mse_o"][i] == pytest.approx(((a - b) ** 2).mean() * 255**2, rel=1e-4)
        assert values["psnr_o"][i] == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-3)
        assert values["ssim_o"][i] == pytest.approx(
            structural_similarity(
                a, b, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=1
            ),
            abs=1e-4,
        )
        blocks = [t.reshape(8, 4, 8, 4, 3).mean((1, 3)) for t in (a, b)]
        u, v = (np.concatenate([t.mean((0, 1)), (t**2).mean((0, 1))]) for t in blocks)
        cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
        assert values["featsim_o"][i] == pytest.approx(cosine, abs=1e-5)


def test_equal_images_are_perfect_and_the_others_are_measured(pair):
    clean, noisy = pair
    mixed = torch.where(torch.arange(20)[:, None, None, None] % 2 == 0, clean, noisy)
    yardstick = Yardstick(clean, Encoder())
    some, all_ = yardstick.compare(mixed, "i"), yardstick.compare(noisy, "i")
    assert some["fsim_i"][0] == some["featsim_i"][0] == some["ssim_i"][0] == 1.0
    assert (some["mse_i"][0], some["psnr_i"][0]) == (0.0, 100.0)
    for name, values in some.items():
        assert values[1::2] == all_[name][1::2], name


def test_measures_of_an_image_do_not_depend_on_the_others(pair):
    clean, noisy = pair
    whole = Yardstick(clean, Encoder()).compare(noisy, "o")
    for i in (0, 7, 19):
        alone = Yardstick(clean[i : i + 1], Encoder()).compare(noisy[i : i + 1], "o")
        assert {k: v[0] for k, v in alone.items()} == {k: v[i] for k, v in whole.items()}


def test_without_an_encoder_there_is_no_deep_similarity(pair):
    assert "featsim_i" not in Yardstick(pair[0], None).compare(pair[1], "i")


def test_the_encoder_is_the_first_parser_with_features(toolkit_from):
    tables = "[parser.plain]\nuse = 'whole'\n[parser.faces]\nuse = 'unet'\nparams = { weights = 'random' }\n"
    assert encoder_label(toolkit_from(tables), Profile()) == "faces"
    assert encoder_label(toolkit_from(tables + "[magdr]\nparser = 'plain'\n"), Profile()) == "faces"
    assert encoder_label(toolkit_from("[parser.plain]\nuse = 'whole'\n"), Profile()) is None
    assert encoder_label(toolkit_from(), Profile()) is None

"""Per-image measures of Table 2: against independent ones, and per image whatever the batch."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from magdr_core.bench.evaluate import encoder_label, target_region
from magdr_core.components.batch import Condition, Samples
from magdr_core.components.regions import Regions
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


def test_the_region_s_error_is_the_mean_over_its_pixels_weighed_by_a_soft_mask():
    clean = torch.zeros(2, 3, 16, 16)
    other = quarters([0.2, 0.4, 0.0, 1.0]).repeat(2, 3, 1, 1)
    region = quarters([1.0, 0.5, 0.0, 0.0]).repeat(2, 1, 1, 1)
    values = Yardstick(clean, None, region).compare(other, "o")
    # (1 x .04 + .5 x .16) / 1.5 of the range's square; outside, the error of 1 is not counted.
    assert values["mse_o_target"] == pytest.approx([0.08 * 255**2] * 2, rel=1e-5)
    assert values["mse_o"] == pytest.approx([(0.04 + 0.16 + 1.0) / 4 * 255**2] * 2, rel=1e-5)
    assert "mse_i_target" not in Yardstick(clean, None).compare(other, "i")


def quarters(four):
    """`[1,1,16,16]`: a value for each quarter, row by row."""
    return torch.tensor(four).reshape(1, 1, 2, 2).repeat_interleave(8, 2).repeat_interleave(8, 3)


class Halves:
    """Two regions: hair is the left half, a hat the right one."""

    regions = Regions(("hair", "hat"))

    def __call__(self, x):
        masks = torch.zeros(len(x), 2, *x.shape[2:])
        masks[:, 0, :, : x.shape[3] // 2] = masks[:, 1, :, x.shape[3] // 2 :] = 1.0
        return masks


class Hairdresser:
    """Edits hair by the first condition, the hat by the second."""

    regions = Regions(("hair", "hat"))

    def edited(self, c):
        return c.changed


def test_the_target_region_is_the_parsers_mask_of_what_is_edited():
    changed = torch.tensor([[True, False], [True, False]])
    faces = Samples(torch.rand(2, 3, 4, 4), Condition(changed.float(), changed), ("a", "b"))
    region = target_region(faces, Halves(), Hairdresser())
    assert region.shape == (2, 1, 4, 4)
    assert (region[..., :2] == 1).all()
    assert (region[..., 2:] == 0).all()


def test_there_is_no_target_region_where_the_parser_knows_nothing_of_it():
    class Bald(Halves):
        regions = Regions(("mouth", "neck"))

    changed = torch.tensor([[True, False]])
    faces = Samples(torch.rand(1, 3, 4, 4), Condition(changed.float(), changed), ("a",))
    assert target_region(faces, Bald(), Hairdresser()) is None


def test_a_target_that_is_not_in_the_picture_is_measured_over_all_of_it():
    class Hatless(Halves):
        def __call__(self, x):
            hair = torch.ones(len(x), *x.shape[2:])
            return torch.stack([hair, 0 * hair], 1)

    changed = torch.tensor([[False, True]])
    faces = Samples(torch.rand(1, 3, 4, 4), Condition(changed.float(), changed), ("a",))
    assert (target_region(faces, Hatless(), Hairdresser()) == 1).all()


def test_without_an_encoder_there_is_no_deep_similarity(pair):
    assert "featsim_i" not in Yardstick(pair[0], None).compare(pair[1], "i")


def test_the_encoder_is_the_first_parser_with_features(toolkit_from):
    tables = "[parser.plain]\nuse = 'whole'\n[parser.faces]\nuse = 'unet'\nparams = { weights = 'random' }\n"
    assert encoder_label(toolkit_from(tables), Profile()) == "faces"
    assert encoder_label(toolkit_from(tables + "[magdr]\nparser = 'plain'\n"), Profile()) == "faces"
    assert encoder_label(toolkit_from("[parser.plain]\nuse = 'whole'\n"), Profile()) is None
    assert encoder_label(toolkit_from(), Profile()) is None

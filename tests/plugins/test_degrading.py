"""Degradations: what each does, by hand, and that five levels are five degrees of it."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.augmentations.degrading import (
    LEVELS,
    blocks,
    chroma_noise,
    dim,
    h264,
    pixelate,
    saturation,
)

from magdr_core.components.rng import SampleRng
from magdr_core.functional import luma, psnr, to_8bit, to_ycbcr
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

BY_NAME = {
    "saturation": saturation,
    "dim": dim,
    "blocks": blocks,
    "chroma-noise": chroma_noise,
    "pixelate": pixelate,
    "h264": h264,
}
STOCHASTIC = ("blocks", "chroma-noise")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    text = '[dataset.faces]\nuse = "procedural-faces"\n'
    kit = Toolkit(parse_registry(text, tmp_path_factory.mktemp("faces") / "faces.toml"), device="cpu")
    return kit.build("dataset", "faces").split("test")[range(3)].images


def run(name, x, params, ids="abc"):
    more = {"rng": SampleRng(0, name, ids[: len(x)])} if name in STOCHASTIC else {}
    return BY_NAME[name](x, **params, **more)


@pytest.mark.parametrize("name", LEVELS)
def test_each_level_is_worse_than_the_one_before(name, faces):
    assert len(LEVELS[name]) == 5
    found = [run(name, faces, level) for level in LEVELS[name]]
    assert all(0 <= y.min() <= y.max() <= 1 for y in found)
    quality = torch.stack([psnr(y, faces) for y in found])
    assert (quality[0] < 60).all()
    assert (quality[1:] < quality[:-1]).all()


@pytest.mark.parametrize("name", LEVELS)
def test_a_picture_is_degraded_alike_in_any_batch(name, faces):
    level = LEVELS[name][1]
    whole = run(name, faces, level)
    assert torch.equal(run(name, faces[[2]], level, "c"), whole[[2]])
    assert torch.equal(run(name, faces.flip(0), level, "cba").flip(0), whole)


@pytest.mark.parametrize("name", LEVELS)
def test_odd_sides_and_empty_batches_keep_their_shape(name):
    x = torch.rand(2, 3, 17, 23, generator=torch.Generator().manual_seed(0))
    assert run(name, x, LEVELS[name][0]).shape == x.shape
    assert run(name, x[:0], LEVELS[name][0], "").shape == (0, 3, 17, 23)


def test_saturation_keeps_the_luma_and_scales_the_chroma(faces):
    y = saturation(faces, factor=0.3)
    assert torch.allclose(luma(y), luma(faces), atol=1e-5)
    for before, after in zip(to_ycbcr(faces)[1:], to_ycbcr(y)[1:], strict=True):
        assert torch.allclose(after - 0.5, 0.3 * (before - 0.5), atol=1e-5)


def test_dim_multiplies(faces):
    assert torch.equal(dim(faces, factor=0.6), faces * 0.6)


def test_blocks_are_grey_squares_and_leave_the_rest(faces):
    y = run("blocks", faces, {"count": 16})
    grey = (y == 128 / 255).all(1)
    untouched = (y == faces).all(1)
    assert (grey | untouched).all()
    assert not torch.equal(grey[0], grey[1]), "each picture has its own places"
    covered = (grey & ~untouched).float().mean((1, 2))
    assert (covered > 0.008).all()
    assert (covered <= 16 * 4 / 64**2).all(), "2 x 2 at 64 pixels"


def test_one_block_has_its_side_and_lies_inside():
    x = torch.zeros(40, 3, 64, 96)
    y = blocks(x, rng=SampleRng(0, "b", [str(i) for i in range(40)]), count=1)
    assert torch.equal((y[:, 0] > 0).sum((1, 2)), torch.full((40,), 4))
    assert (y[:, 0] > 0).any(0).any(0)[70:].any(), "on the longer side too"


def test_chroma_noise_has_its_variance_in_luma_and_chroma():
    x = torch.full((2, 3, 64, 64), 0.5)
    planes = to_ycbcr(run("chroma-noise", x, {"variance": 0.001}))
    for plane in planes:
        assert plane.var(dim=(1, 2, 3)).numpy() == pytest.approx([0.001] * 2, rel=0.1)


def test_pixels_of_a_square_are_its_mean_at_the_border_too():
    x = torch.arange(25.0).reshape(1, 1, 5, 5).expand(1, 3, 5, 5) / 25
    y = pixelate(x, factor=2)
    assert torch.allclose(y[0, 0, :2, :2], x[0, 0, :2, :2].mean().expand(2, 2))
    assert torch.allclose(y[0, 0, :2, 4], x[0, 0, :2, 4].mean().expand(2))
    assert torch.allclose(y[0, 0, 4, 4], x[0, 0, 4, 4])


def test_h264_is_lossy_8_bit_and_near_the_picture(faces):
    y = h264(faces, crf=23)
    assert torch.equal(y, to_8bit(y))
    quality = psnr(y, faces)
    assert (quality > 25).all()
    assert (quality < 45).all()
    assert (y.mean((2, 3)) - faces.mean((2, 3))).abs().max() < 2 / 255, "colours come back"


def test_h264_passes_gradients_straight_through(faces):
    x = faces.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((3 * h264(x)).sum(), x)
    assert torch.equal(gradient, torch.full_like(x, 3.0))


def test_degradations_are_found_by_name_with_their_levels(toolkit_from):
    for name, levels in LEVELS.items():
        params = ", ".join(f"{k} = {v}" for k, v in levels[-1].items())
        kit = toolkit_from(f"[augmentation.worst]\nuse = {name!r}\nparams = {{ {params} }}\n")
        assert kit.build("augmentation", "worst").stochastic == (name in STOCHASTIC)

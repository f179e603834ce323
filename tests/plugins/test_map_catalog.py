"""What Rec-Net and the consistency detector can choose from, and the maps' own promises.

`test_conformance.py` runs every one of them through the common contract, `test_image_maps.py`
at every setting.
"""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.hosting.manager import PluginHost


@pytest.fixture(scope="module")
def host():
    host = PluginHost()
    host.load("builtin")
    return host


@pytest.fixture
def build(toolkit_from):
    def make(kind, use, **params):
        values = "".join(f"{k} = {v!r}\n" for k, v in params.items())
        text = f"[{kind}.x]\nuse = {use!r}\n[{kind}.x.params]\n{values}"
        return toolkit_from(text).build(kind, "x")

    return make


@pytest.fixture(scope="module")
def pictures():
    """Smooth pictures in the middle tones, [3,3,24,32]."""
    coarse = torch.rand(3, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.interpolate(coarse, (24, 32), mode="bicubic", align_corners=True)
    return x.clamp(0, 1) * 0.8 + 0.1


def test_catalog_has_enough_of_each(host):
    restorations = {e.spec.name: e.spec for e in host.entries("restoration")}
    assert len(restorations) >= 14
    assert {s.stage for s in restorations.values()} >= {"denoise", "compress", "resample", "sharpen"}
    assert len(host.entries("augmentation")) >= 10
    assert {e.spec.name for e in host.entries("metric")} >= {"linf", "gradient", "deep", "deep-cosine"}


UNDONE = [
    ("rotate", {"degrees": 3.0}, 5), ("rotate", {"degrees": -6.0}, 7), ("zoom", {"factor": 0.94}, 1),
    ("zoom", {"factor": 1.06}, 4), ("brightness", {"amount": 0.15}, 0), ("brightness", {"amount": -0.3}, 0),
    ("contrast", {"amount": 0.08}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("use", "params", "border"), UNDONE)
def test_augmentation_is_undone(build, pictures, use, params, border):
    f = build("augmentation", use, **params)
    assert f.geometric, "it has an undo"
    inside = (..., slice(border, 24 - border), slice(border, 32 - border))
    moved = (f(pictures) - pictures)[inside].abs().mean()
    left = (f.undo(f(pictures)) - pictures)[inside].abs()
    assert moved > 0.01
    assert left.mean() < (moved / 4 if border else 1e-6)


@pytest.mark.parametrize(("use", "params", "border"), UNDONE)
def test_augmentation_undo_has_finite_gradients(build, use, params, border):
    f = build("augmentation", use, **params)
    x = torch.tensor([0.0, 1.0, 0.5]).reshape(1, 3, 1, 1).expand(1, 3, 8, 8).clone().requires_grad_()
    f.undo(f(x)).square().sum().backward()
    assert x.grad.isfinite().all()


def test_augmentation_noise_is_keyed_by_the_sample(build):
    f = build("augmentation", "noise", sigma=0.05)
    x = torch.full((2, 3, 64, 64), 0.5)
    y = f(x, rng=SampleRng(0, "f", ["a", "b"]))
    assert torch.equal(y[1:], f(x[1:], rng=SampleRng(0, "f", ["b"])))
    assert not torch.equal(y[0], y[1])
    assert (y - x).std().item() == pytest.approx(0.05, rel=0.05)
    assert abs((y - x).mean().item()) < 2e-3


def test_augmentations_are_spread_in_strength(host, build, pictures):
    """How much of a random perturbation is left after f_k: from nearly all to little."""
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1)) * 0.02
    left = []
    for entry in host.entries("augmentation"):
        f = build("augmentation", entry.name)
        if f.geometric or f.stochastic:
            continue
        gone = f(pictures + noise) - f(pictures)
        left.append(float(gone.std() / noise.std()))
    assert min(left) < 0.45
    assert max(left) > 0.85
    assert sum(0.45 < value < 0.85 for value in left) >= 3


@pytest.mark.parametrize("use", ["wavelet", "wiener"])
def test_restoration_sigma_of_zero_estimates_the_noise(build, pictures, use):
    f = build("restoration", use, sigma=0.0)
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1)) * 0.03
    before, after = noise.std(), (f(pictures + noise) - pictures).std()
    assert after < 0.8 * before


@pytest.mark.parametrize(
    ("use", "params", "gain"),
    [
        ("wavelet", {"sigma": 0.02}, 1.5),
        ("wavelet-threshold", {}, 1.5),
        ("dct", {}, 3),
        ("wiener", {}, 2),
        ("guided", {}, 3),
        ("diffusion", {}, 3),
        ("chroma-blur", {}, 1.5),
    ],
)
def test_restoration_removes_noise_from_a_smooth_picture(build, use, params, gain):
    g = torch.Generator().manual_seed(2)
    luma, colour = torch.rand(2, 1, 4, 4, generator=g), torch.rand(2, 3, 3, 3, generator=g)
    resized = [
        torch.nn.functional.interpolate(t, (47, 52), mode="bicubic", align_corners=True)
        for t in (luma, colour)
    ]
    x = (0.25 + 0.4 * resized[0] + 0.1 * resized[1]).clamp(0, 1)
    x[..., 10:20, 30:45] *= 0.5  # an edge to keep
    noisy = (x + 0.015 * torch.randn(x.shape, generator=g)).clamp(0, 1)
    f = build("restoration", use, **params)
    before, after = (noisy - x).square().mean(), (f(noisy) - x).square().mean()
    assert after < before / gain


def test_restorations_declare_their_gradients(host):
    """What they declare, `test_conformance.py` compares with finite differences."""
    declared = {e.spec.name: e.spec.gradient for e in host.entries("restoration")}
    assert declared["chroma-depth"] == "straight-through"
    for name in ("wavelet", "wavelet-threshold", "dct", "wiener", "guided", "diffusion", "chroma-blur",
                 "deconvolve"):  # fmt: skip
        assert declared[name] == "exact"


def test_restoration_straight_through_gradient_is_near_the_identity(build, pictures):
    f = build("restoration", "chroma-depth")
    x = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x)
    assert torch.allclose(gradient, torch.ones_like(gradient), atol=1e-4)

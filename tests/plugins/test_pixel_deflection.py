"""Pixel deflection: the published loop without the loop, then wavelet shrinkage, the same for every batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.defenses.pixel_deflection import deflect

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDefense


@pytest.fixture
def defense(toolkit_from):
    """`defense(sigma=0, ...)`: a function of (images, ids, seed), through core's wrapper."""

    def make(**params):
        text = "".join(f"{k} = {v!r}\n" for k, v in params.items())
        table = f"[defense.prakash]\nuse = 'pixel-deflection'\n[defense.prakash.params]\n{text}"
        guarded = toolkit_from(table).build("defense", "prakash")
        assert isinstance(guarded, GuardedDefense)

        def call(x, ids=None, seed=0):
            names = [f"face-{i}" for i in (range(len(x)) if ids is None else ids)]
            c = Condition(torch.zeros(len(x), 2), torch.ones(len(x), 2, dtype=torch.bool))
            return guarded(x, c, None, rng=SampleRng(seed, "defense/x", names))

        return call

    return make


def pictures(n, height=32, width=32, noise=0.0):
    """Smooth pictures, 8-bit, with some grain."""
    g = torch.Generator().manual_seed(0)
    x = F.interpolate(
        torch.rand(n, 3, 5, 5, generator=g), (height, width), mode="bicubic", align_corners=False
    )
    x = 0.2 + 0.6 * x.clamp(0, 1) + noise * torch.randn(x.shape, generator=g)
    return (x.clamp(0, 1) * 255).round() / 255


def coded(n, height, width):
    """Each value says where it lies: pixel number / 1024."""
    plane = torch.arange(height * width).reshape(height, width) / 1024
    return plane.expand(n, 3, -1, -1).contiguous()


# -- the deflections ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pixels", "steps"), [(1, 5), (2, 9), (6, 40), (50, 60), (300, 17), (40, 1)])
def test_deflections_equal_the_sequential_loop(pixels, steps):
    g = torch.Generator().manual_seed(pixels)
    x = torch.rand(4, 3, pixels, generator=g)
    to, source = (torch.randint(0, pixels, (4, 3, steps), generator=g) for _ in range(2))
    expected = x.clone()
    for plane, targets, sources in zip(
        expected.view(12, -1), to.view(12, -1), source.view(12, -1), strict=True
    ):
        for t, s in zip(targets.tolist(), sources.tolist(), strict=True):
            plane[t] = plane[s]
    assert torch.equal(deflect(x, to, source), expected)


def test_deflections_pass_on_what_was_deflected_before():
    x = torch.tensor([[[0.0, 0.1, 0.2, 0.3, 0.4]]])
    steps = [(1, 0), (2, 1), (3, 2), (0, 4), (3, 3), (2, 0)]  # a chain, a copy onto itself, an overwrite
    to, source = (torch.tensor([[side]]) for side in zip(*steps, strict=True))
    assert deflect(x, to, source).flatten().tolist() == pytest.approx([0.4, 0.0, 0.4, 0.0, 0.4])
    none = torch.zeros(1, 1, 0, dtype=torch.int64)
    assert torch.equal(deflect(x, none, none), x)


@pytest.mark.cuda
def test_deflections_are_the_same_on_the_device():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(16, 3, 50, generator=g)
    to, source = (torch.randint(0, 50, (16, 3, 400), generator=g) for _ in range(2))
    assert torch.equal(deflect(x.cuda(), to.cuda(), source.cuda()).cpu(), deflect(x, to, source))


def test_each_value_comes_from_its_window(defense):
    """One deflection per channel: where it lands and where it comes from, over many images."""
    x = coded(4000, 12, 20)
    y = defense(deflections=3, window=2, sigma=0.0)(x)
    image, channel, row, column = (y != x).nonzero(as_tuple=True)
    assert len(set(zip(image.tolist(), channel.tolist(), strict=True))) == len(image), "one at most"
    assert 0.93 < len(image) / 12000 < 0.98, "1 in 25 copies a value onto itself (more at the border)"
    origin = (y[image, channel, row, column] * 1024).round().long()
    down, right = origin // 20 - row, origin % 20 - column
    assert set(down.tolist()) == set(right.tolist()) == {-2, -1, 0, 1, 2}
    hits = torch.zeros(12, 20).index_put((row, column), torch.ones(()), accumulate=True)
    assert hits.min() > 0.5 * hits.mean(), "every pixel alike, the border too"
    assert hits.max() < 1.7 * hits.mean()
    assert set((origin % 20)[column == 0].tolist()) == {0, 1, 2}, "from inside the picture"
    assert set((origin % 20)[column == 19].tolist()) == {17, 18, 19}
    assert set((origin // 20)[row == 11].tolist()) == {9, 10, 11}
    inner = (row >= 2) & (row < 10) & (column >= 2) & (column < 18)
    moves = torch.zeros(5, 5).index_put((down[inner] + 2, right[inner] + 2), torch.ones(()), accumulate=True)
    assert moves[2, 2] == 0
    moves[2, 2] = moves.sum() / 24
    assert (moves / moves.mean() - 1).abs().max() < 0.3, "every neighbour alike"
    channels = [(row[channel == k].tolist(), column[channel == k].tolist()) for k in range(3)]
    assert channels[0] != channels[1], "channels are deflected apart"


@pytest.mark.parametrize(("deflections", "per_channel"), [(0, 0), (1, 1), (3, 1), (200, 67), (201, 67)])
def test_deflections_are_shared_out_to_the_channels(defense, deflections, per_channel):
    """As the authors' loop: whole rounds of three channels until the count is reached."""
    x = coded(200, 30, 34)
    y = defense(deflections=deflections, window=256, sigma=0.0)(x)
    changed = (y != x).flatten(2).sum(2).float()
    assert changed.max() <= per_channel
    # Fewer where a pixel is hit again: 1020 (1 - (1 - 1/1020)^n).
    expected = 1020 * (1 - (1 - 1 / 1020) ** per_channel)
    assert changed.mean().item() == pytest.approx(expected, rel=0.03, abs=0.01)


def test_nothing_to_do_is_the_identity(defense):
    x = pictures(3)
    assert torch.equal(defense(deflections=0, sigma=0.0)(x), x)


# -- the denoising --------------------------------------------------------------------------------------


def haar(plane):
    even, odd = plane[0::2], plane[1::2]
    low, high = (even + odd) / np.sqrt(2), (even - odd) / np.sqrt(2)
    return [((b[:, 0::2] + sign * b[:, 1::2]) / np.sqrt(2)) for b in (low, high) for sign in (1, -1)]


def unhaar(a, h, v, d):
    rows = []
    for left, right in ((a, h), (v, d)):
        b = np.empty((a.shape[0], 2 * a.shape[1]))
        b[:, 0::2], b[:, 1::2] = (left + right) / np.sqrt(2), (left - right) / np.sqrt(2)
        rows.append(b)
    plane = np.empty((2 * a.shape[0], 2 * a.shape[1]))
    plane[0::2], plane[1::2] = (rows[0] + rows[1]) / np.sqrt(2), (rows[0] - rows[1]) / np.sqrt(2)
    return plane


def bayes_shrink(plane, sigma, levels):
    """A plain Haar BayesShrink of one plane."""
    if levels == 0:
        return plane
    a, *details = haar(plane)
    shrunk = []
    for d in details:
        signal = np.sqrt(max(np.mean(d**2) - sigma**2, np.finfo(np.float32).eps))
        shrunk.append(np.sign(d) * np.maximum(np.abs(d) - sigma**2 / signal, 0))
    return unhaar(bayes_shrink(a, sigma, levels - 1), *shrunk)


@pytest.mark.parametrize(("height", "width", "levels"), [(32, 32, 2), (64, 64, 3), (24, 40, 1)])
def test_denoising_equals_a_plain_one_in_ycbcr(defense, height, width, levels):
    """Against numpy, image by image and channel by channel."""
    x = pictures(3, height, width, noise=0.05)
    y = defense(sigma=0.04)(x)
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
    for deflected, result in zip(defense(sigma=0.0)(x).double().numpy(), y, strict=True):
        ycbcr = np.tensordot(matrix, deflected, 1)
        gains = np.sqrt((matrix**2).sum(1))
        planes = [bayes_shrink(p, 0.04 * gain, levels) for p, gain in zip(ycbcr, gains, strict=True)]
        expected = np.tensordot(np.linalg.inv(matrix), np.stack(planes), 1).clip(0, 1)
        assert np.abs(result.numpy() - expected).max() < 2e-3
        assert np.abs(result.numpy() - expected).mean() < 2e-4
        assert np.abs(deflected - expected).mean() > 0.01, "it does denoise"


def test_it_removes_noise_and_keeps_the_picture(defense):
    clean, noisy = pictures(4, 64, 64), pictures(4, 64, 64, noise=0.04)
    errors = [(defense(**p)(noisy) - clean).square().mean() for p in ({}, {"sigma": 0.0}, {"sigma": 0.01})]
    before = (noisy - clean).square().mean()
    assert errors[0] < 0.5 * before
    assert errors[1] > before, "deflections alone add noise"
    assert errors[0] < errors[2] < errors[1]


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_stay_as_they_are(defense, level):
    x = torch.full((2, 3, 32, 32), level)
    assert (defense()(x) - x).abs().max() < 1e-5


# -- per image ------------------------------------------------------------------------------------------


def test_an_image_gets_the_same_bits_in_every_batch(defense):
    call = defense()
    x = pictures(9, 24, 40, noise=0.02)
    whole = call(x)
    assert torch.equal(call(x), whole), "repeats"
    assert not torch.equal(call(x, seed=1), whole)
    for ids in ([0], [8], [3, 4], [7, 1, 5], list(range(8, -1, -1))):
        assert torch.equal(call(x[ids], ids), whole[ids])


def test_equal_pictures_with_other_ids_are_deflected_elsewhere(defense):
    y = defense(sigma=0.0)(pictures(1, noise=0.02).expand(3, -1, -1, -1))
    assert not torch.equal(y[0], y[1])
    assert not torch.equal(y[1], y[2])


def test_gradients_are_those_of_finite_differences(defense):
    x = pictures(1, noise=0.03).double()
    leaf, call = x.clone().requires_grad_(), defense(deflections=30)
    g = torch.Generator().manual_seed(1)
    weight, direction = (torch.randn(x.shape, generator=g).double() for _ in range(2))
    (gradient,) = torch.autograd.grad((call(leaf) * weight).sum(), leaf)
    assert gradient.isfinite().all()
    step = 1e-6
    ahead, behind = (((call(x + s * step * direction) - call(x)) * weight).sum() for s in (1, -1))
    slope = (ahead - behind) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-3)


def test_call_without_streams_is_refused(toolkit_from):
    guarded = toolkit_from().build("defense", "pixel-deflection")
    c = Condition(torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(MagdrError, match="stochastic and was called without rng"):
        guarded(pictures(2), c, None)


@pytest.mark.parametrize("params", [{"deflections": -1}, {"window": 0}, {"sigma": 1.5}, {"sigma": -0.1}])
def test_wrong_parameters_are_refused_with_their_place(defense, params):
    with pytest.raises(MagdrError, match=r"\[defense.prakash\]") as e:
        defense(**params)
    assert next(iter(params)) in str(e.value)

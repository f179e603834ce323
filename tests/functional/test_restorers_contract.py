"""The package's contract (`test_contract.py`) for the adaptive filters, shrinkage, warps and tones."""

from __future__ import annotations

import pytest
import torch

from magdr_core.functional import (
    anisotropic_diffusion,
    average_over_shifts,
    brighten,
    chroma_blur,
    chroma_depth,
    dct_threshold,
    fade,
    guided_filter,
    in_pieces,
    luma,
    richardson_lucy,
    rotate,
    unbrighten,
    unfade,
    wavelet_denoise,
    wavelet_threshold,
    wiener,
    zoom,
)

SMOOTH = {
    "anisotropic_diffusion": lambda x: anisotropic_diffusion(x, 0.1, 5),
    "brighten": lambda x: brighten(x, 0.2),
    "chroma_blur": lambda x: chroma_blur(x, 1.5),
    "dct_threshold": lambda x: dct_threshold(x, 0.15, 6),
    "guided_filter": lambda x: guided_filter(x, 2, 0.1),
    "luma": luma,
    "richardson_lucy": lambda x: richardson_lucy(x, 0.6, 3),
    "rotate": lambda x: rotate(x, 3.0),
    "unbrighten": lambda x: unbrighten(x, 0.2),
    "unfade": lambda x: unfade(x, 0.1),
    "wavelet_denoise": lambda x: wavelet_denoise(x, sigma=0.08, levels=2, wavelet="db2"),
    "wavelet_denoise estimated": wavelet_denoise,
    "wavelet hard": lambda x: wavelet_threshold(x, 0.2, levels=2, mode="hard", wavelet="db4"),
    "wavelet shifts": lambda x: average_over_shifts(x, lambda y: wavelet_threshold(y, 0.1), 2),
    "wiener": lambda x: wiener(x, 5, 0.08),
    "wiener estimated": lambda x: wiener(x, 3),
    "zoom": lambda x: zoom(x, 0.95),
}
IMAGE = SMOOTH | {"chroma_depth": lambda x: chroma_depth(x, 4), "fade": lambda x: fade(x, 0.1)}


@pytest.fixture(params=[(32, 32), (21, 35)], ids=["square", "odd"])
def batch(request, noisy):
    return noisy(5, *request.param)[1]


@pytest.mark.parametrize("name", IMAGE)
def test_restorers_stay_in_range_float32_and_finite(name, batch):
    before = batch.clone()
    y = IMAGE[name](batch)
    assert y.dtype == torch.float32
    assert (y.shape[0], y.shape[2:]) == (5, batch.shape[2:])
    assert y.isfinite().all()
    assert y.min() >= 0
    assert y.max() <= 1
    assert torch.equal(batch, before)


@pytest.mark.parametrize("name", [n for n in IMAGE if n not in ("fade", "unfade")])
@pytest.mark.parametrize("size", [(20, 18), (3, 5), (1, 1)])
def test_restorers_keep_black_and_white(name, size):
    x = torch.stack([torch.zeros(3, *size), torch.ones(3, *size)])
    y = IMAGE[name](x)
    assert (y[0].abs() < 2e-6).all()
    assert ((y[1] - 1).abs() < 2e-6).all()


@pytest.mark.parametrize("name", IMAGE)
def test_restorers_give_an_image_the_same_bits_alone_and_in_a_batch(name, batch):
    function = IMAGE[name]
    whole = function(batch)
    assert torch.equal(whole, torch.cat([function(batch[i : i + 1]) for i in range(len(batch))]))
    assert torch.equal(whole, function(batch.flip(0)).flip(0))


@pytest.mark.parametrize("name", IMAGE)
def test_restorers_do_not_change_under_autocast(name, batch):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = IMAGE[name](batch)
    assert torch.equal(inside, IMAGE[name](batch))


@pytest.mark.parametrize("name", IMAGE)
def test_restorers_have_finite_gradients(name, batch):
    x = batch.clone().requires_grad_()
    y = IMAGE[name](x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient.abs().flatten(1).max(1).values > 0).all()
    flat = torch.full((1, 3, 8, 8), 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(IMAGE[name](flat).sum(), flat)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", SMOOTH)
def test_restorers_gradients_equal_finite_differences(name, noisy):
    x = noisy(1, 12, 13)[1].double().clamp(0.07, 0.93).requires_grad_()
    assert torch.autograd.gradcheck(SMOOTH[name], (x,), fast_mode=True)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 8, 13, 21])
def test_in_pieces_covers_each_image_once_in_powers_of_two(n):
    x = torch.arange(n).float()
    seen = []

    def f(index):
        part = x[index]
        seen.append(len(part))
        return part * 2

    assert torch.equal(in_pieces(f, x), x * 2)
    assert all(size in (0, 2, 4, 8) for size in seen)


def test_in_pieces_halves_a_batch_that_does_not_fit():
    seen = []

    def f(i):
        size = i.stop - i.start
        seen.append(size)
        if size > 2:
            raise torch.OutOfMemoryError("too much")
        return torch.arange(i.start, i.stop)

    with torch.no_grad():
        got = in_pieces(f, torch.empty(7, 1, device="meta"))  # any device that is not a CPU
    assert got.tolist() == list(range(7))
    assert seen[0] == 7


def test_in_pieces_gives_up_where_one_image_does_not_fit():
    def f(i):
        raise torch.OutOfMemoryError("too much")

    with torch.no_grad(), pytest.raises(torch.OutOfMemoryError):
        in_pieces(f, torch.empty(4, 1, device="meta"))

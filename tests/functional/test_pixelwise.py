"""The pixel-wise Gaussian blur, against a slow loop and by its limits."""

from __future__ import annotations

import math

import pytest
import torch

from magdr_core.functional import pixelwise_blur


def slowly(x, precision, radius):
    """Pixel by pixel, in double; mirrored indices by hand."""
    batch, channels, height, width = x.shape

    def mirror(i, size):
        return -i if i < 0 else 2 * (size - 1) - i if i >= size else i

    y = torch.zeros_like(x, dtype=torch.float64)
    steps = range(-radius, radius + 1)
    for b in range(batch):
        for c in range(channels):
            for row in range(height):
                for column in range(width):
                    s = float(precision[b, min(c, precision.shape[1] - 1), row, column])
                    total = norm = 0.0
                    for i in steps:
                        for j in steps:
                            w = math.exp(-(i * i + j * j) / 2 * s)
                            total += w * float(x[b, c, mirror(row + i, height), mirror(column + j, width)])
                            norm += w
                    y[b, c, row, column] = total / norm
    return y


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_formula_pixel_by_pixel(radius, channels):
    x, precision = drawn(2, 3, 6, 5), 4 * drawn(2, channels, 6, 5, seed=1)
    assert torch.allclose(
        pixelwise_blur(x, precision, radius=radius).double(), slowly(x, precision, radius), atol=1e-6
    )


def test_a_large_precision_changes_nothing_and_none_is_the_mean_of_the_window():
    x = drawn(1, 3, 8, 8)
    assert torch.equal(pixelwise_blur(x, torch.full((1, 1, 8, 8), 1e4)), x)
    mean = pixelwise_blur(x, torch.zeros(1, 1, 8, 8))[0, 0, 4, 4]
    assert mean == pytest.approx(float(x[0, 0, 3:6, 3:6].mean()), abs=1e-6)


def test_its_gradient_is_that_of_finite_differences():
    x, precision = drawn(1, 1, 5, 5).double(), 2 * drawn(1, 1, 5, 5, seed=1).double()
    assert torch.autograd.gradcheck(
        lambda a, s: pixelwise_blur(a, s), (x.requires_grad_(), precision.requires_grad_()), atol=1e-6
    )


def test_an_image_has_the_same_bits_in_any_batch():
    x, precision = drawn(5, 3, 12, 9), 3 * drawn(5, 1, 12, 9, seed=1)
    alone = torch.cat([pixelwise_blur(x[i : i + 1], precision[i : i + 1]) for i in range(5)])
    assert torch.equal(pixelwise_blur(x, precision), alone)


@pytest.mark.parametrize(
    ("shape", "radius", "message"),
    [((2, 2, 8, 8), 1, "precision"), ((1, 1, 8, 8), 1, "precision"), ((2, 1, 8, 8), 8, "radius")],
)
def test_wrong_arguments_are_refused(shape, radius, message):
    with pytest.raises(ValueError, match=message):
        pixelwise_blur(drawn(2, 3, 8, 8), torch.ones(shape), radius=radius)

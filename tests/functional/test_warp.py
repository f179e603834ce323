from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch

from magdr_core.functional import gaussian_blur, rotate, zoom


def _by_scipy(image, matrix):
    centre = (np.array(image.shape[1:]) - 1) / 2
    offset = centre - matrix @ centre
    planes = [scipy.ndimage.affine_transform(p, matrix, offset, order=1, mode="reflect") for p in image]
    return np.stack(planes)


@pytest.mark.parametrize("degrees", [3.0, -7.5, 45.0, 200.0])
@pytest.mark.parametrize("size", [(21, 27), (16, 16)])
def test_rotate_equals_scipy(photos, degrees, size):
    x = photos(1, *size)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    reference = _by_scipy(x[0].double().numpy(), np.array([[cosine, sine], [-sine, cosine]]))
    assert np.abs(rotate(x, degrees)[0].numpy() - reference).max() < 1e-6


@pytest.mark.parametrize("factor", [0.9, 0.95, 1.07, 0.3])
def test_zoom_equals_scipy(photos, factor):
    x = photos(1, 21, 26)
    reference = _by_scipy(x[0].double().numpy(), np.eye(2) / factor)
    assert np.abs(zoom(x, factor)[0].numpy() - reference).max() < 1e-6


def test_rotate_by_right_angles_is_exact_and_counter_clockwise(photos):
    x = photos(2, 17, 17)
    assert torch.allclose(rotate(x, 90), x.rot90(1, (-2, -1)), atol=1e-6)
    assert torch.allclose(rotate(x, -180), x.rot90(2, (-2, -1)), atol=1e-6)
    assert torch.equal(rotate(x, 0), x)
    assert torch.equal(zoom(x, 1), x)


def test_zoom_on_a_hand_computed_image():
    x = torch.tensor([[0.0, 0.4, 0.8]]).reshape(1, 1, 1, 3)
    # Twice the size: places -.5, 0, .5 around the centre.
    assert zoom(x, 2)[0, 0, 0].tolist() == pytest.approx([0.2, 0.4, 0.6])
    # Half the size: places -2 and 2 lie one pixel beyond the edge, where the mirror shows the edge again.
    assert zoom(x, 0.5)[0, 0, 0].tolist() == pytest.approx([0.0, 0.4, 0.8])


def _ramp(height, width):
    i, j = torch.arange(height)[:, None], torch.arange(width)[None]
    return (0.1 + 0.009 * i + 0.011 * j).float().expand(1, 3, height, width)


@pytest.mark.parametrize(
    ("there", "back", "border"),
    [
        (lambda x: rotate(x, 3), lambda x: rotate(x, -3), 4),
        (lambda x: rotate(x, -5), lambda x: rotate(x, 5), 5),
        (lambda x: zoom(x, 0.94), lambda x: zoom(x, 1 / 0.94), 1),
        (lambda x: zoom(x, 1.05), lambda x: zoom(x, 1 / 1.05), 3),
    ],
)
def test_warps_are_undone_inside(photos, there, back, border):
    inside = (..., slice(border, -border), slice(border, -border))
    ramp = _ramp(40, 44)  # bilinear sampling keeps it, so that nothing but the geometry is left
    assert torch.allclose(back(there(ramp))[inside], ramp[inside], atol=1e-6)
    x = gaussian_blur(photos(1, 40, 44), 1.0)
    moved, undone = (there(x) - x)[inside].abs().mean(), (back(there(x)) - x)[inside].abs().mean()
    assert undone < moved / 2


def test_wrong_warp_arguments_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    for call, word in (
        (lambda: rotate(x, float("nan")), "degrees"),
        (lambda: zoom(x, 0.0), "factor"),
        (lambda: rotate(x[0], 3), "B,C,H,W"),
    ):
        with pytest.raises(ValueError, match=word):
            call()

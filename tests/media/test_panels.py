"""The side-by-side picture."""

import torch

from magdr_core.media.panels import GAP, SIDE, STRIP, side_by_side


def test_panels_stand_in_order_under_their_labels():
    colours = torch.eye(3)
    panels = [(f"panel {i}", colours[i].reshape(3, 1, 1).expand(3, 64, 64)) for i in range(3)]
    sheet = side_by_side(panels, "a caption " * 100)
    assert sheet.shape == (3, 2 * STRIP + SIDE, 3 * (SIDE + GAP) + GAP)
    for i in range(3):
        left = GAP + i * (SIDE + GAP)
        assert torch.equal(sheet[:, STRIP + SIDE // 2, left + SIDE // 2], colours[i])
        assert sheet[:, :STRIP, left : left + SIDE].min() < 0.5, "no label"
    assert sheet[:, :, :GAP].min() == 1, "the caption leaves the margin free"
    assert sheet[:, STRIP + SIDE :].min() < 0.5
    assert sheet[:, STRIP + SIDE :, -GAP:].min() == 1, "a long caption is cut off"


def test_large_panels_keep_their_pixels():
    image = (torch.rand(3, 300, 300, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    sheet = side_by_side([("a", image)])
    assert torch.equal(sheet[:, STRIP : STRIP + 300, GAP : GAP + 300], image)

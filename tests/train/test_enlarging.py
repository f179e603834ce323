"""Training super-resolution in miniature."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.components.weights import read_card
from magdr_core.train import recipes, runner
from magdr_core.train.enlarging import EnlargingTrainer, halved

TINY = replace(
    recipes.RECIPES["edsr-faces64"],
    params={"features": 8, "blocks": 1},
    dataset={"size": 64},
    settings={"crop": 16},
    pool=8,
    batch=4,
    steps=60,
    tested=4,
)


def test_pictures_are_halved_as_pillow_does():
    x = (torch.rand(1, 3, 20, 28, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    levels = (x[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    expected = np.asarray(Image.fromarray(levels).resize((14, 10), Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(halved(x)[0].permute(1, 2, 0).numpy() * 255 - expected).max() <= 1.01


def test_training_learns_to_enlarge_and_writes_the_card(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)
    losses = []
    path = runner.train(
        "tiny",
        out=tmp_path,
        device="cpu",
        log=lambda message: None,
        progress=lambda done, total, seen: losses.append(seen["l1"]),
    )
    assert sum(losses[-10:]) < 0.65 * sum(losses[:10])
    card = read_card(path)
    assert card["architecture"] == "super-resolution"
    assert 15 < card["quality"]["psnr"] < 60
    assert card["quality"]["psnr_bicubic"] > 20


@pytest.mark.parametrize("step", [0, 1, 2])
def test_small_crops_lie_under_their_large_ones(tmp_path, monkeypatch, step):
    context = runner._context(TINY, "cpu", tmp_path / "images.pt", lambda message: None)
    trainer = EnlargingTrainer(context)
    scale = torch.nn.Parameter(torch.ones(()))

    def bicubic(small):
        assert small.shape == (4, 3, 16, 16)
        return scale * torch.nn.functional.interpolate(small, scale_factor=2.0, mode="bicubic")

    monkeypatch.setattr(trainer.net, "enlarge", bicubic)
    monkeypatch.setattr(trainer, "_net", Recorder())
    assert trainer.step(step)["l1"] < 0.06, "a crop from another place would be far away"


class Recorder:
    def step(self, loss):
        assert loss.isfinite()

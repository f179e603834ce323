"""Training a diffusion model in miniature: the loss is EDM's, and noise is what it learns to remove."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.components.weights import read_card
from magdr_core.train import recipes, runner
from magdr_core.train.diffusing import DiffusingTrainer

TINY = replace(
    recipes.RECIPES["diffusion-faces64"],
    params={"width": 12},
    settings={"sigma_from": 0.02, "sigma_to": 0.5, "crop": 32},
    pool=16,
    batch=8,
    steps=40,
    lr=5e-3,
    tested=2,
)


def trainer(tmp_path):
    return DiffusingTrainer(runner._context(TINY, "cpu", tmp_path / "images.pt", lambda message: None))


@pytest.mark.slow
def test_training_learns_to_remove_noise_and_writes_the_card(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)
    path = runner.train("tiny", out=tmp_path, device="cpu", log=lambda message: None)
    quality = read_card(path)["quality"]
    assert quality["rms_0.4"] < 0.4
    assert quality["rms_0.05"] < quality["rms_0.2"] < quality["rms_0.4"]
    assert 0 < quality["rms_clean_0.05"] < 0.2


def test_steps_lower_the_loss(tmp_path):
    t = trainer(tmp_path)
    losses = [t.step(i)["loss"] for i in range(40)]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_the_loss_is_the_weighted_error_on_noisy_crops(tmp_path, monkeypatch):
    """A model that gives back what it is shown has the noise for its error, at every level."""
    t = trainer(tmp_path)
    seen = []
    scale = torch.nn.Parameter(torch.ones(()))

    def unchanged(u, s):
        seen.append((u.detach(), s))
        return scale * u

    monkeypatch.setattr(t.net, "denoise", unchanged)
    monkeypatch.setattr(t._net, "step", lambda loss: None)
    got = t.step(0)["loss"]
    (u, s), recipe = seen[0], t.context.recipe
    assert u.shape == (8, 3, 32, 32)
    assert s.min() >= 0.02
    assert s.max() <= 0.5
    noise = SampleRng(recipe.seed, "diffusing-noise", [f"0.{j}" for j in range(8)]).normal(3, 32, 32)
    expected = (s.square() + 0.25) / (0.25 * s.square()) * (s.square() * noise.square().mean((1, 2, 3)))
    assert got == pytest.approx(float(expected.mean()), rel=1e-4)
    # Below the noise is one of the pictures, mirrored or not, at the same place for all.
    clean = (u - s[:, None, None, None] * noise)[:, 0]
    pool = (2 * torch.cat([t.images, t.images.flip(3)]).float() / 255 - 1)[:, 0]
    crops = pool.unfold(1, 32, 1).unfold(2, 32, 1).flatten(1, 2)  # [pictures, places, 32, 32]
    same = torch.stack([(crops - one).abs().amax((2, 3)) < 1e-4 for one in clean])
    assert same.any(1).all(0).any()

"""Training low-rank patches in miniature: what they are held to, and whom the attack attacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.components.weights import read_card, read_state
from magdr_core.train import recipes, runner
from magdr_core.train.patching import PatchingTrainer

TINY = replace(recipes.RECIPES["lora-editing64"], pool=6, batch=3, steps=2, tested=1)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    path = tmp_path_factory.mktemp("patch") / "images.pt"
    return PatchingTrainer(runner._context(TINY, "cpu", path, lambda message: None))


def given(trainer, n=3):
    clean, target = trainer.images[:n].float() / 255, trainer.outputs[:n].float()
    return clean, trainer.conditions[:n], target


def test_training_starts_at_the_generator(trainer):
    clean, c, target = given(trainer)
    with torch.no_grad():
        assert (trainer.net(clean, c) - target).abs().max() < 2e-3  # targets are kept in half precision
        assert torch.allclose(trainer.generator(clean, c), trainer.net(clean, c), atol=1e-5)


def test_the_attack_moves_the_patched_generator_inside_the_ball(trainer):
    clean, c, target = given(trainer)
    rng = SampleRng(0, "test", ["a", "b", "c"])
    x = trainer.attacked(clean, c, target, rng)
    assert (x - clean).abs().max() <= 8 / 255 + 1e-6
    noise = (clean + 8 / 255 * rng.sign(*clean.shape[1:])).clamp(0, 1)
    with torch.no_grad():
        moved, shaken = ((trainer.net(i, c) - target).square().mean() for i in (x, noise))
    assert moved > 2 * shaken
    assert all(p.grad is None for p in trainer.net.parameters())


def test_a_step_moves_the_patches_alone(trainer):
    weights = {k: v.clone() for k, v in trainer.net.base.state_dict().items()}
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    trainer.step(0)
    trainer.step(1)
    assert all(torch.equal(v, weights[k]) for k, v in trainer.net.base.state_dict().items())
    moved = {
        k.rpartition(".")[2] for k, v in trainer.net.state_dict().items() if not torch.equal(v, before[k])
    }
    assert moved == {"a", "b", "gate"}


@pytest.mark.slow
def test_what_is_written_are_patches_and_a_card(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)
    path = runner.train("tiny", out=tmp_path, device="cpu", log=lambda message: None)
    assert all(key.startswith("adapters.") for key in read_state(path))
    assert path.stat().st_size < 500_000
    quality = read_card(path)["quality"]
    assert quality["mse_o_pgd_undefended"] > 100 * quality["mse_o_clean"] >= 0

"""Adversarial training of a purifier in miniature: whom the attack attacks, and what is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.train import recipes, runner
from magdr_core.train.hardened_purifying import HardenedPurifyingTrainer

TINY = replace(recipes.RECIPES["purifier-hardened64"], pool=6, batch=3, steps=2, tested=1)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    path = tmp_path_factory.mktemp("purifier") / "images.pt"
    return HardenedPurifyingTrainer(runner._context(TINY, "cpu", path, lambda message: None))


def test_the_attack_goes_through_the_purifier_and_moves_the_output_more_than_one_that_does_not(trainer):
    clean, target = trainer.images[:3].float() / 255, trainer.outputs[:3].float()
    c, G = trainer.conditions[:3], trainer.generator.component

    def moved(x):
        with torch.no_grad():
            return float((G(trainer.net(x), c) - target).square().mean())

    def attacked():
        return trainer.attacked(clean, c, target, SampleRng(0, "test", ["a", "b", "c"]))

    knowing, trainer.defended = attacked(), G
    unaware, trainer.defended = attacked(), trainer._defended()
    assert (knowing - clean).abs().max() <= 8 / 255 + 1e-6
    assert moved(knowing) > 2 * moved(unaware)


def test_a_step_trains_the_purifier_and_not_the_generator(trainer):
    G = trainer.generator.component
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    kept = {k: v.clone() for k, v in G.state_dict().items()}
    trainer.step(0)
    trainer.step(1)
    assert all(torch.equal(v, kept[k]) for k, v in G.state_dict().items())
    assert not any(torch.equal(v, before[k]) for k, v in trainer.net.state_dict().items())


def test_its_figures_are_of_the_whole_pipeline(trainer):
    figures = trainer.evaluate()
    assert figures["mse_o_pgd"] < figures["mse_o_own_pgd"], "an attack that knows the purifier does more"
    assert figures["mse_o_pgd"] < figures["mse_o_pgd_undefended"], "it purifies"

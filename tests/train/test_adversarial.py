"""Adversarial training: what the networks are shown, and that the recipe runs."""

from dataclasses import replace

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.components.weights import read_card
from magdr_core.train import recipes, runner
from magdr_core.train.adversarial import AdversarialEditingTrainer

RECIPE = recipes.RECIPES["stargan-adversarial64"]
TINY = replace(
    RECIPE,
    params={"width": 8, "blocks": 1, "size": 32},
    dataset={"size": 32, "grain": 0.0},
    settings={**RECIPE.settings, "attack_steps": 2.0},
    pool=8,
    batch=4,
    steps=2,
    tested=1,
)


@pytest.fixture
def trainer(tmp_path):
    context = runner._context(TINY, "cpu", tmp_path / "images.pt", lambda message: None)
    return AdversarialEditingTrainer(context)


def test_the_published_strengths_are_the_recipes():
    assert [RECIPE.settings[k] for k in ("attack_eps", "attack_step", "attack_steps")] == [0.025, 0.005, 10]
    plain = recipes.RECIPES["stargan-faces64"]
    assert replace(RECIPE, name=plain.name, trainer=plain.trainer, settings=plain.settings) == plain


def test_the_attack_drives_the_output_from_grey_inside_its_ball(trainer):
    x, c = trainer.images[:4].float() / 255, trainer.conditions[:4]
    trainer.loss = {**trainer.loss, "attack_steps": 6.0}
    before = [p.detach().clone() for p in trainer.net.parameters()]

    def rng():
        return SampleRng(0, "attack", ["a", "b", "c", "d"])

    attacked = trainer.attacked(x, c, rng(), torch.full_like(x, 0.5))
    assert not attacked.requires_grad
    assert (attacked - x).abs().max() <= 0.025 + 1e-6
    assert 0 <= attacked.min() <= attacked.max() <= 1
    start = (x + rng().uniform(3, 32, 32, low=-0.025, high=0.025)).clamp(0, 1)

    def distance(images):
        with torch.no_grad():
            return (trainer.net(images, c) - 0.5).square().flatten(1).mean(1)

    assert (distance(attacked) > distance(start)).all()
    assert all(p.grad is None for p in trainer.net.parameters())
    assert all(torch.equal(p, q) for p, q in zip(trainer.net.parameters(), before, strict=True))


@pytest.mark.parametrize(("critic", "attacked"), [(1.0, ["fake", "input", "real"]), (0.0, ["input"])])
def test_the_critic_sees_attacked_pictures_if_told(trainer, critic, attacked):
    trainer.loss = {**trainer.loss, "attack_critic": critic}
    x, c = trainer.images[:4].float() / 255, trainer.conditions[:4]
    moved = [
        what for what in ("fake", "input", "real") if not torch.equal(trainer.shown(x, c, 0, what, x), x)
    ]
    assert moved == attacked
    first, second = (trainer.shown(x, c, i, "input", x) for i in (0, 1))
    assert not torch.equal(first, second), "drawn anew"


def test_the_attack_can_drive_the_output_from_the_exact_result(trainer):
    """One long step away from a target raises the training loss more than one away from grey."""
    x, c = trainer.images[:4].float() / 255, trainer.conditions[:4]
    target = trainer.edited[:4].float() / 255
    trainer.loss = {**trainer.loss, "attack_critic": 0.0, "attack_step": 0.01875, "attack_steps": 1.0}

    def error(from_result):
        trainer.loss["attack_from_result"] = from_result
        with torch.no_grad():
            seen = trainer.shown(x, c, 0, "input", target)
            return (trainer.net(seen, c) - target).square().mean()

    assert error(1.0) > error(0.0)


def test_training_can_start_from_other_weights(tmp_path, monkeypatch):
    recipe = recipes.RECIPES["stargan-hardened64"]
    context = runner._context(recipe, "cpu", tmp_path / "images.pt", lambda message: None)
    shipped = runner._context(replace(recipe, seed=7), "cpu", tmp_path / "others.pt", lambda message: None)
    pairs = zip(context.net.parameters(), shipped.net.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs), "weights of a file, not of a seed"
    assert context.net.training


def test_the_editor_and_the_critic_are_given_what_is_shown(trainer, monkeypatch):
    seen = []
    marks = {"input": 0.125, "real": 0.25, "fake": 0.375}
    monkeypatch.setattr(trainer, "shown", lambda x, c, i, what, target: torch.full_like(x, marks[what]))
    for name in ("net", "critic"):
        getattr(trainer, name).register_forward_pre_hook(lambda module, given: seen.append(given[0].unique()))
    trainer.step(0)
    assert [values.tolist() for values in seen[:3]] == [[0.125], [0.25], [0.375]]


def test_the_recipe_trains_and_writes_the_card(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)
    path = runner.train("tiny", out=tmp_path, device="cpu", log=lambda message: None)
    card = read_card(path)
    assert card["training"]["settings"]["attack_eps"] == 0.025
    assert card["quality"]["disrupted_faces"] == 1

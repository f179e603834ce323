"""Training of twins: what they are shown and held to, and that the recipes run."""

from dataclasses import replace

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.components.weights import read_card
from magdr_core.train import recipes, runner
from magdr_core.train.twin import Difficulty, TwinTrainer, blended_from, blurred

TWINS = ("twin-editing64", "twin-reenactment64", "twin-replacement64")


def short(name, pool=8):
    return replace(recipes.RECIPES[name], pool=pool, batch=4, steps=2, tested=1)


def made(name, tmp_path):
    context = runner._context(short(name), "cpu", tmp_path / "images.pt", lambda message: None)
    return TwinTrainer(context)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return made("twin-editing64", tmp_path_factory.mktemp("twin"))


def attacked(trainer, settings=None, seed=0):
    rows = slice(0, 8)
    clean = trainer.images.float() / 255
    rng = SampleRng(seed, "attack", [str(i) for i in range(8)])
    target = trainer.made[rows].float(), trainer.copied[rows].float()
    return clean, trainer.attacked(clean, trainer.conditions[rows], *target, rng)


def test_perturbations_stay_in_the_ball_and_move_the_twin(trainer):
    clean, seen = attacked(trainer)
    assert not seen.requires_grad
    assert (seen - clean).abs().amax((1, 2, 3)).min() > 3 / 255
    assert (seen - clean).abs().max() <= 8 / 255 + 1e-6
    assert 0 <= seen.min() <= seen.max() <= 1
    assert all(p.grad is None for p in trainer.net.parameters())


def test_attacks_move_the_twin_more_than_noise(trainer, monkeypatch):
    def error(kinds):
        monkeypatch.setattr("magdr_core.train.twin.SMOOTH", kinds[0])
        monkeypatch.setattr("magdr_core.train.twin.NOISY", kinds[1])
        _clean, seen = attacked(trainer)
        with torch.no_grad():
            return (trainer.net(seen, trainer.conditions) - trainer.made.float()).square().mean()

    sharp, smooth, noise = error((0.0, 0.0)), error((1.0, 0.0)), error((0.0, 1.0))
    assert sharp > noise
    assert smooth > noise


def test_a_smooth_perturbation_has_little_between_neighbours(trainer, monkeypatch):
    monkeypatch.setattr("magdr_core.train.twin.NOISY", 0.0)

    def roughness(share):
        monkeypatch.setattr("magdr_core.train.twin.SMOOTH", share)
        clean, seen = attacked(trainer)
        d = seen - clean
        return (d[..., 1:] - d[..., :-1]).abs().mean() / d.abs().mean()

    assert roughness(1.0) < 0.7 * roughness(0.0)


def test_a_blurred_direction_is_bounded_and_keeps_its_sign():
    x = torch.full((1, 3, 16, 16), 1e-9)
    x[..., 8:] = -1e-9
    y = blurred(x, 1.0)
    assert y.abs().max() <= 1
    assert (y[..., :6] > 0.9).all()
    assert (y[..., 10:] < -0.9).all()


def test_faces_that_disagree_are_drawn_more_often():
    difficulty, u = Difficulty(4), (torch.arange(800) + 0.5) / 800
    assert torch.bincount(difficulty.draw(u)).tolist() == [200] * 4
    every, clean = torch.arange(4), torch.zeros(4, dtype=torch.bool)
    difficulty.note(every, torch.tensor([0.0, 0.0, 0.0, 1.0]), clean)
    assert torch.bincount(difficulty.draw(u)).tolist() == [100, 100, 100, 500]
    difficulty.note(every, torch.zeros(4), clean)
    assert torch.bincount(difficulty.draw(u)).tolist() == [200] * 4


def test_errors_of_attacked_faces_are_compared_with_those_of_attacked_faces():
    difficulty = Difficulty(4)
    errors = torch.tensor([0.001, 0.003, 0.1, 0.3])
    difficulty.note(torch.arange(4), errors, torch.tensor([False, False, True, True]))
    assert difficulty.error.tolist() == pytest.approx([0.5, 1.5, 0.5, 1.5])


def test_a_face_drawn_twice_counts_with_its_larger_error():
    for errors in ([1.0, 3.0], [3.0, 1.0]):
        difficulty = Difficulty(2)
        difficulty.note(torch.tensor([1, 1]), torch.tensor(errors), torch.zeros(2, dtype=torch.bool))
        assert difficulty.error.tolist() == [1.0, 1.5]


def test_the_target_is_the_generators_own_output_on_the_clean_face(trainer):
    x, c = trainer.images.float() / 255, trainer.conditions
    with torch.no_grad():
        y = trainer.generator(x, c)
    assert torch.allclose(trainer.made.float() + trainer.copied.float() * x, y, atol=2e-3)
    assert not trainer.copied.any()


def test_what_an_attention_network_copies_is_no_disagreement(tmp_path):
    """The twin starts as the generator itself: on what is merely copied it is where it should be."""
    trainer = made("twin-reenactment64", tmp_path)
    x, c = trainer.images.float() / 255, trainer.conditions
    assert trainer.copied.shape == (8, 1, 64, 64)
    with torch.no_grad():
        expected = trainer.made + trainer.copied * x
        assert torch.allclose(expected, trainer.generator(x, c), atol=2e-3)
        assert (trainer.net(x, c) - expected).square().mean() < 1e-3


@pytest.mark.parametrize(
    "heads",
    [
        torch.nn.ModuleList(),
        lambda x, c: (x, torch.zeros(1, 1, 8, 8)),
        lambda x, c: torch.zeros(3),
        lambda x: (x, x),
    ],
)
def test_heads_that_do_not_make_up_the_output_are_no_mask(heads):
    """A third party's network may call anything `heads`."""

    class Other:
        pass

    x = torch.full((1, 3, 8, 8), 0.25)
    G = Other()
    assert blended_from(G, x, None, x) is None
    G.heads = heads
    assert blended_from(G, x, None, 1 - x) is None
    G.heads = lambda x, c: (1 - x, torch.full((1, 1, 8, 8), 0.5))
    colour, attention = blended_from(G, x, None, torch.full_like(x, 0.5))
    assert colour.mean() == 0.75
    assert attention.mean() == 0.5


@pytest.mark.parametrize("name", TWINS)
def test_the_recipe_trains_from_shipped_weights_and_writes_the_card(name, tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, name, short(name, pool=4))
    path = runner.train(name, out=tmp_path, device="cpu", log=lambda message: None)
    card = read_card(path)
    assert card["training"]["start"].startswith("builtin:")
    assert card["quality"]["gap_clean"] < 40
    assert card["quality"]["disrupted_faces"] == 1


def test_a_continued_training_knows_the_difficult_faces(tmp_path, monkeypatch):
    recipe = replace(short("twin-editing64", pool=4), steps=4)
    monkeypatch.setitem(recipes.RECIPES, recipe.name, recipe)
    monkeypatch.setattr(TwinTrainer, "evaluate", lambda self: {})

    class Stopped(Exception):
        pass

    def stop(done, total, losses):
        if done == 3:
            raise Stopped

    def run(folder, **options):
        return runner.train(
            recipe.name, out=folder, device="cpu", log=lambda m: None, checkpoint_every=2, **options
        )

    whole = run(tmp_path / "whole").read_bytes()
    with pytest.raises(Stopped):
        run(tmp_path / "parts", progress=stop)
    assert run(tmp_path / "parts").read_bytes() == whole

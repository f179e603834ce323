"""Training in miniature: the machinery of checkpoints and cards, and that the losses teach something."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from magdr_core.components.weights import file_sha256, read_card
from magdr_core.errors import MagdrError
from magdr_core.train import recipes
from magdr_core.train.editing import change_map
from magdr_core.train.parsing import iou_counts, part_ious
from magdr_core.train.purifying import SMOOTH, UNSEEN, PurifyingTrainer
from magdr_core.train.runner import find_recipe, train

TINY = replace(
    recipes.RECIPES["stargan-faces64"],
    params={"width": 8, "blocks": 1, "size": 32},
    dataset={"size": 32},
    pool=24,
    batch=4,
    steps=4,
    tested=16,
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)


def quiet(message):
    pass


def test_training_writes_weights_and_their_card(tmp_path, tiny):
    path = train("tiny", out=tmp_path, device="cpu", log=quiet)
    card = read_card(path)
    assert card["command"] == "magdr train tiny"
    assert card["sha256"] == file_sha256(path)
    assert card["training"]["steps"] == 4
    assert card["quality"]["psnr"] > 0
    assert all(t.dtype == torch.float16 for t in load_file(path).values())


def test_a_continued_training_equals_an_unbroken_one(tmp_path, tiny):
    whole = train("tiny", out=tmp_path / "whole", device="cpu", log=quiet)

    def stop(done, total, losses):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("tiny", out=tmp_path / "broken", device="cpu", log=quiet, progress=stop, checkpoint_every=1)
    said = []
    broken = train("tiny", out=tmp_path / "broken", device="cpu", log=said.append)
    assert "continuing at step 2" in said
    expected = load_file(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(broken).items())


def test_a_checkpoint_of_another_recipe_is_not_continued(tmp_path, tiny, monkeypatch):
    train("tiny", out=tmp_path, device="cpu", log=quiet, steps=2)
    monkeypatch.setitem(recipes.RECIPES, "tiny", replace(TINY, lr=1e-4))
    said = []
    train("tiny", out=tmp_path, device="cpu", log=said.append, steps=2)
    assert any("another recipe" in line for line in said)


def test_an_unknown_name_is_corrected():
    with pytest.raises(MagdrError, match="did you mean 'parser-faces64'"):
        find_recipe("parser-face64")


def test_the_change_map_covers_the_change_and_its_border():
    x = torch.zeros(1, 3, 8, 8)
    target = x.clone()
    target[0, 1, 4, 4] = 0.5
    assert change_map(x, target)[0, 0].sum() == 9


def test_intersection_over_union_by_hand():
    # Parts 0 (background) and 8, 9 (neck, cloth: counted as one).
    truth = torch.tensor([[[0, 0, 8, 9]]])
    predicted = torch.tensor([[[0, 8, 9, 9]]])
    ious = part_ious(iou_counts(predicted, truth))
    assert ious["background"] == pytest.approx(1 / 2)
    assert ious["neck+cloth"] == pytest.approx(2 / 3)


PURIFIER = replace(
    recipes.RECIPES["purifier-faces64"],
    params={"width": 16},
    dataset={"size": 32},
    pool=16,
    batch=8,
    steps=150,
    tested=8,
)


@pytest.mark.parametrize("eq8", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_a_purifier_learns_to_take_perturbations_out(tmp_path, monkeypatch, eq8):
    recipe = replace(PURIFIER, settings={"eq8": eq8, "eq8_from": 0.5})
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    losses = []
    train(
        "tiny",
        out=tmp_path,
        device="cpu",
        log=quiet,
        progress=lambda done, total, seen: losses.append(dict(seen)),
    )
    first, last = (sum(x["pixels"] for x in part) for part in (losses[:15], losses[60:75]))
    assert last < 0.95 * first
    assert ("eq8" in losses[-1]) == (eq8 > 0)
    assert "eq8" not in losses[0]


def drawn(monkeypatch, tmp_path, **settings):
    """The images that a purifier is trained on, clean and attacked, `[16,3,32,32]` each in levels."""
    recipe = replace(PURIFIER, steps=1, settings={"eq8": 1.0, "eq8_from": 0.5, **settings})
    seen = {}

    class Kept(PurifyingTrainer):
        def _examples(self):
            seen.update(super()._examples())
            return seen

    monkeypatch.setitem(recipes.RECIPES, "tiny", replace(recipe, trainer=Kept))
    train("tiny", out=tmp_path, device="cpu", log=quiet)
    return seen["images"].float(), seen["attacked"].float()


def test_a_purifier_learns_from_smooth_perturbations_too(tmp_path, monkeypatch):
    clean, mixed = drawn(monkeypatch, tmp_path / "mixed", smooth=0.5)
    _, fine = drawn(monkeypatch, tmp_path / "fine")
    assert torch.equal(mixed[:8], fine[:8]), "those before are what they were"

    def roughness(x):
        delta = x - clean
        return (delta.diff(dim=3).square().flatten(1).mean(1) / delta.square().flatten(1).mean(1)).sqrt()

    smooth = roughness(mixed)[8:]
    assert (smooth > 0).all()
    assert (smooth < 0.7 * roughness(fine)[8:]).all()


def test_the_shipped_purifiers_are_trained_on_smooth_perturbations_by_default():
    for name in ("purifier-faces64", "purifier-editing64"):
        assert 0 < recipes.RECIPES[name].settings["smooth"] < 1


def test_a_purifiers_card_tells_of_a_smooth_attack_that_training_does_not_see(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", replace(PURIFIER, steps=1))
    quality = read_card(train("tiny", out=tmp_path, device="cpu", log=quiet))["quality"]
    assert quality["mse_o_smooth_undefended"] > quality["mse_o_noisy_undefended"]
    assert UNSEEN["spectrum"] not in {kind["spectrum"] for kind in SMOOTH}


def test_training_images_are_drawn_anew_where_settings_differ(tmp_path, monkeypatch):
    """A training that was stopped leaves its images, and its recipe may be another one now."""

    def stop(done, total, losses):
        raise KeyboardInterrupt

    counted = []

    class Counted(PurifyingTrainer):
        def _examples(self):
            counted.append(self.smooth)
            return super()._examples()

    for share in (0.5, 0.5, 0.0):
        settings = {"eq8": 0.0, "eq8_from": 1.0, "smooth": share}
        recipe = replace(PURIFIER, trainer=Counted, settings=settings)
        monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
        with pytest.raises(KeyboardInterrupt):
            train("tiny", out=tmp_path, device="cpu", log=quiet, progress=stop)
    assert counted == [0.5, 0.0]

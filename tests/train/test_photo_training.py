"""Training for photographs in miniature: made-up portraits, what trainers see of them, and the recipes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from magdr_core.components.weights import read_card
from magdr_core.errors import MagdrError
from magdr_core.train import recipes, runner
from magdr_core.train.mixing import MixedSplit
from magdr_core.train.photo_editing import (
    HardenedPhotoTrainer,
    PhotoEditingTrainer,
    attention_hinge,
    photo_quality,
)
from magdr_core.train.photo_recipes import PHOTO_RECIPES
from tests.portraits import write_portraits

SMALL = {"width": 8, "blocks": 1, "size": 64}
VICTIM = {"use": "photo-editor", "params": {**SMALL, "weights": "random"}}
TINY = replace(
    PHOTO_RECIPES["photo-editor64"],
    params=SMALL,
    start="",
    photos={"size": 64, "variations": 2},
    drawn=0.25,
    pool=16,
    batch=4,
    steps=3,
    tested=4,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_portraits(tmp_path_factory.mktemp("portraits"))


def quiet(message):
    pass


def context_of(recipe, tmp_path, data):
    torch.manual_seed(0)
    return runner._context(recipe, "cpu", tmp_path / "images.pt", quiet, data=data)


@pytest.fixture
def trainer(tmp_path, data):
    return PhotoEditingTrainer(context_of(TINY, tmp_path, data))


def test_training_on_a_folder_of_portraits_says_so_on_the_card(tmp_path, data, monkeypatch):
    (data / "TERMS.txt").write_text("Painted by a test.\nFree of rights.\n")
    monkeypatch.setitem(recipes.RECIPES, "tiny", replace(TINY, name="tiny"))
    card = read_card(runner.train("tiny", out=tmp_path, device="cpu", log=quiet, data=data))
    (data / "TERMS.txt").unlink()
    assert card["command"] == "magdr train tiny --data FOLDER"
    training, figures = card["training"], set(card["quality"])
    assert training["data"].startswith("portraits and 25% procedural-faces, split train, 16 images")
    assert training["portraits"] == {"made": 10}
    assert training["terms"] == "Painted by a test. Free of rights."
    assert {"ratio_hair", "ratio_smiling", "ratio_eyeglasses", "psnr_outside", "exact_outside"} <= figures
    assert {"pgd_median", "noise_median", "drawn_psnr", "drawn_ratio_hair", "drawn_pgd_median"} <= figures
    assert card["quality"]["disrupted_faces"] == 2, "as many portraits as the test split has"
    assert card["quality"]["drawn_disrupted_faces"] == 4


def test_the_folder_is_asked_for_where_it_is_needed_and_only_there(tmp_path, data):
    with pytest.raises(MagdrError, match="photo-editor64 learns from portraits of your own: --data FOLDER"):
        runner.train("photo-editor64", out=tmp_path / "out", device="cpu", log=quiet)
    with pytest.raises(MagdrError, match="parser-faces64 learns from drawn faces alone"):
        runner.train("parser-faces64", out=tmp_path / "out", device="cpu", log=quiet, data=data)
    with pytest.raises(MagdrError, match="nowhere does not exist"):
        context_of(TINY, tmp_path, tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


def test_drawn_faces_and_portraits_take_turns_and_keep_their_own_edits(tmp_path, data):
    context = context_of(TINY, tmp_path, data)
    indices = [7, 0, 3, 2]
    batch = context.split[indices]
    assert [one.partition("-")[0] for one in batch.ids] == ["face", "made/0000~0", "face", "made/0002~0"]
    assert batch.masks.shape == (4, 19, 64, 64)
    assert {"Bald", "Smiling", "Black_Hair"} <= set(batch.attributes)
    assert batch.attributes["Smiling"][[1, 3]].tolist() == [0, 0]
    drawn = context.toolkit.build("dataset", "faces").split("train")
    photos = context.toolkit.build("dataset", "photos").split("train")
    assert torch.equal(batch.images[0], drawn[[1]].images[0])
    assert torch.equal(batch.images[3], photos[[2]].images[0])
    names = context.net.condition_names
    changes = {name: torch.zeros(4) for name in names} | {"Blond_Hair": (torch.arange(4) < 2).float()}
    edited = context.split.edited(indices, changes)
    assert torch.equal(edited[1], photos.edited([0], {"Blond_Hair": torch.ones(1)})[0])
    assert torch.equal(edited[0], drawn.edited([1], {n: v[:1] for n, v in changes.items()})[0])


def test_a_mix_is_as_long_as_both_allow():
    assert len(MixedSplit(range(1000), range(60), 0.25)) == 80
    assert len(MixedSplit(range(5), range(60), 0.25)) == 20
    assert len(MixedSplit(range(5), range(60), 0.0)) == 60


def test_some_pictures_are_shown_with_nothing_to_do(trainer):
    trainer.loss = {**trainer.loss, "nothing": 0.5}
    rows = [trainer.drawn(i) for i in range(20)]
    still = torch.cat([~c.changed.any(1) for _, _, c in rows])
    same = torch.cat([(x == t).flatten(1).all(1) for x, t, _ in rows])
    assert 0.3 < still.float().mean() < 0.7
    assert same[still].all()
    assert same[~still].float().mean() < 0.5
    values = torch.cat([c.values for _, _, c in rows])
    assert (values[still].sum(1) < values[~still].sum(1).mean()).any()


def test_training_closes_the_mask_where_the_edit_leaves_the_picture(trainer):
    x, target, c = trainer.drawn(0)
    left = (x == target).all(1, keepdim=True)

    def kept():
        with torch.no_grad():
            return (trainer.net.heads(x, c)[1] == 1)[left].float().mean()

    before = kept()
    for i in range(25):
        trainer.step(0 if i % 2 else i)
    assert before < 0.05
    assert kept() > 0.5


def test_the_hinge_by_hand():
    logits = torch.tensor([3.0, 1.0, -1.0, 2.0]).reshape(1, 1, 2, 2)
    left = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    visible = torch.tensor([0.0, 1.0, 1.0, 1.0]).reshape(1, 1, 2, 2)
    # Closed at 2.5: the second is 1.5 short; of what changes, the last is 2 too high.
    assert float(attention_hinge(logits, left, visible, 2.5)) == pytest.approx((1.5 + 2.0) / 4)


def test_hardened_editors_are_not_blamed_for_what_they_copy(tmp_path, data):
    recipe = replace(PHOTO_RECIPES["photo-hardened64"], **{k: getattr(TINY, k) for k in ("params", "start")})
    recipe = replace(recipe, photos=TINY.photos, pool=8, batch=4)
    hardened = HardenedPhotoTrainer(context_of(recipe, tmp_path, data))
    x, target, c = hardened.drawn(0)
    seen = hardened.shown(x, c, 0, "input", target)
    assert 0 < (seen - x).abs().max() <= 0.025 + 1e-6
    wanted = hardened.wanted(x, target, seen)
    assert torch.equal(wanted[target == x], seen[target == x])
    assert torch.equal(wanted[target != x], target[target != x])
    assert {"l1", "region", "critic"} <= set(hardened.step(0))


class Ideal(torch.nn.Module):
    """Gives what it was told is right, or the input."""

    condition_names = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Smiling", "Eyeglasses")

    def __init__(self, split, copies=False, off=0.0):
        super().__init__()
        self.split, self.copies, self.off = split, copies, off

    def forward(self, x, c):
        if self.copies:
            return x
        changes = dict(zip(self.condition_names, c.values.unbind(1), strict=True))
        return (self.split.edited(list(range(len(x))), changes) + self.off).clamp(0, 1)


def test_the_figures_of_an_editor_that_is_known(tmp_path, data):
    test = context_of(TINY, tmp_path, data)._testing("test-photos", 0)
    right = photo_quality(test, Ideal(test.split))
    assert right["exact_outside"] == 1
    assert right["ratio_hair"] == right["ratio_smiling"] == right["ratio_darker_skin"] == 0
    copied = photo_quality(test, Ideal(test.split, copies=True))
    assert copied["ratio_hair"] == copied["ratio_eyeglasses"] == copied["ratio_lighter_hair"] == 1
    assert copied["psnr_outside"] == pytest.approx(100)
    off = photo_quality(test, Ideal(test.split, off=8 / 255))
    assert off["exact_outside"] < 0.02
    assert off["psnr_outside"] == pytest.approx(-20 * math.log10(8 / 255), abs=0.5)


OTHERS = {
    "parser-photos64": "miou_clean",
    "purifier-photos64": "mse_o_clean_purified",
    "purifier-photo-editing64": "mse_o_clean_purified",
    "twin-photos64": "gap_clean",
}


@pytest.mark.parametrize(("name", "figure"), OTHERS.items())
def test_other_networks_learn_what_their_editor_does(tmp_path, data, monkeypatch, name, figure):
    recipe = PHOTO_RECIPES[name]
    small = {**recipe.params, **{k: SMALL[k] for k in ("width", "blocks") if k in recipe.params}}
    recipe = replace(
        recipe,
        name="tiny",
        params=small if recipe.kind == "generator" else recipe.params,
        start="",
        photos=TINY.photos,
        victim=VICTIM,
        surrogate={},
        pool=8,
        batch=4,
        steps=2,
        tested=2,
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    quality = read_card(runner.train("tiny", out=tmp_path, device="cpu", log=quiet, data=data))["quality"]
    assert math.isfinite(quality[figure])
    assert math.isfinite(quality[f"drawn_{figure}"])
    assert quality[figure] != quality[f"drawn_{figure}"]


def test_recipes_for_photographs_fit_their_components_and_each_other():
    for name, recipe in PHOTO_RECIPES.items():
        size = recipe.photos["size"]
        assert name.endswith(str(size))
        assert recipe.dataset["size"] == size
        starts = recipe.start.removeprefix("builtin:")
        shipped = starts in recipes.RECIPES
        assert shipped, f"{name} starts from {starts}"
        if recipe.victim:
            assert recipe.victim["params"]["weights"].removeprefix("builtin:") in PHOTO_RECIPES

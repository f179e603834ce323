"""Training a replacement in miniature, and what its figures mean."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from magdr_core.components.weights import read_card
from magdr_core.train import recipes, replacement, runner
from magdr_core.train.replacement import (
    draw_pairs,
    nothing,
    replacement_disruption,
    replacement_quality,
)

TINY = replace(
    recipes.RECIPES["cyclegan-faces64"],
    params={"width": 16, "blocks": 1, "size": 32},
    dataset={"size": 32, "grain": 0.0, "identity": "A"},
    pool=24,
    batch=4,
    steps=30,
    tested=8,
)


@pytest.fixture
def context(tmp_path):
    return runner._context(TINY, "cpu", tmp_path / "images.pt", lambda message: None)


class Copy:
    size, condition_names = 32, ()

    def __call__(self, x, c):
        return x.clone()

    def edited(self, c):
        return torch.ones(len(c), 12, dtype=torch.bool)

    def draw(self, batch, rng):
        return nothing(batch.images)


def test_training_learns_to_replace_and_writes_the_card(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)
    monkeypatch.setattr(replacement, "DISRUPTED", 1)
    path = runner.train("tiny", out=tmp_path, device="cpu", log=lambda message: None)
    quality = read_card(path)["quality"]
    # A network that copies its input has 1.
    assert quality["ratio"] < 0.6
    assert quality["psnr"] > quality["psnr_copied"]
    assert quality["disrupted_faces"] == 1
    assert not Path(tmp_path / "tiny.images.pt").exists()


@pytest.mark.parametrize(("share", "copying"), [(1.0, True), (0.0, False)])
def test_faces_that_are_the_others_already_have_to_stay(context, monkeypatch, share, copying):
    # With the share at 1 every picture shows the other's face: a network that copies has no error at all.
    recipe = replace(TINY, pool=4, settings={**TINY.settings, "identity": share})
    trainer = replacement.ReplacementTrainer(replace(context, recipe=recipe))
    copy = torch.nn.Parameter(torch.zeros(1))  # something for the optimiser's gradient to be of
    monkeypatch.setattr(trainer, "net", lambda x, c: x + 0 * copy)
    monkeypatch.setattr(trainer, "_net", Recorder())
    losses = trainer.step(0)
    assert (losses["l1"] == 0) == (losses["region"] == 0) == copying


class Recorder:
    def step(self, loss):
        assert loss.isfinite()


def test_quality_of_a_copy_and_of_the_exact_picture(context):
    copied = replacement_quality(context, Copy(), samples=4, first=0)
    assert copied["ratio"] == copied["l1_ratio"] == 1
    assert copied["psnr"] == copied["psnr_copied"] < 25
    target = draw_pairs(context, list(range(4)))[1]
    exact = replacement_quality(context, lambda x, c: (target + 1e-4).clamp(0, 1), samples=4, first=0)
    assert exact["ratio"] < 1e-4
    assert exact["psnr"] > 70


def test_a_copy_undoes_every_replacement_and_cannot_be_disrupted(context):
    figures = replacement_disruption(context, Copy(), samples=2, first=0)
    # Its output is the attacked input: at most 6 levels away, in [-1,1] units.
    assert 0 < figures["pgd_median"] <= 4 * (6 / 255) ** 2 + 1e-6
    assert figures["clean_success"] == figures["towards_input_success"] == 1
    assert figures["clean_to_input"] == 0


def test_the_figures_are_of_the_person_that_was_trained_on(context):
    tested = context.for_testing()
    assert tested.dataset.fingerprint() == "procedural-faces-v2-32px-grain1-person-59"
    assert context.dataset.fingerprint() == "procedural-faces-v2-32px-grain0-person-59"

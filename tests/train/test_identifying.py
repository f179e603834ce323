"""Training of the identity encoder of drawn faces: the loss, the figures, and a few steps of the recipe."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score, roc_curve

from magdr_core.train.identifying import margin_loss, verification
from magdr_core.train.recipes import RECIPES
from magdr_core.train.runner import train


def directions(count, dimension=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, dimension, generator=g))


def test_the_loss_adds_its_margin_to_the_angle_of_the_right_class():
    """Eq. 3 of ArcFace, by hand; beyond pi the cosine goes on falling along a line."""
    cosines = directions(4) @ directions(3, seed=1).T
    cosines[3, 0] = -0.99
    right = torch.tensor([0, 2, 1, 0])
    loss, share = margin_loss(cosines, right, scale=16.0, margin=0.5)
    total = 0.0
    for row, k in zip(cosines.tolist(), right.tolist(), strict=True):
        angle = math.acos(row[k])
        own = math.cos(angle + 0.5) if angle + 0.5 < math.pi else row[k] - 0.5 * math.sin(0.5)
        powers = [math.exp(16 * (own if j == k else c)) for j, c in enumerate(row)]
        total -= math.log(powers[k] / sum(powers)) / 4
    assert float(loss) == pytest.approx(total, rel=1e-5)
    assert float(share) == pytest.approx(float((cosines.argmax(1) == right).float().mean()))
    easier, _ = margin_loss(cosines, right, scale=16.0, margin=0.0)
    assert float(easier) == pytest.approx(float(torch.nn.functional.cross_entropy(16 * cosines, right)))
    assert loss > easier


def test_figures_of_verification_are_those_of_scikit_learn():
    persons = torch.arange(24) // 4
    vectors = torch.nn.functional.normalize(directions(6)[persons] + 0.6 * directions(24, seed=2))
    told = verification(vectors, persons)
    rows, columns = np.triu_indices(24, 1)
    cosines = (vectors @ vectors.T).numpy()[rows, columns].astype(float)
    same = (persons[:, None] == persons).numpy()[rows, columns]
    assert 0.6 < told["auroc"] < 0.999
    assert told["auroc"] == pytest.approx(roc_auc_score(same, cosines), abs=1e-9)
    taken, found, _ = roc_curve(same, cosines, drop_intermediate=False)
    assert told["eer"] == pytest.approx(np.maximum(taken, 1 - found).min(), abs=1e-9)
    assert told["others"] == pytest.approx(cosines[~same].mean(), abs=1e-6)
    nearest = (vectors @ vectors.T - 2 * torch.eye(24)).argmax(1)
    assert told["rank1"] == pytest.approx(float((persons[nearest] == persons).float().mean()))


def test_a_few_steps_of_the_recipe_bring_persons_apart(tmp_path):
    recipe = replace(
        RECIPES["identity-faces64"],
        params={"width": 8, "dimension": 16},
        pool=32,
        batch=16,
        steps=12,
        tested=16,
    )
    losses = []
    path = train(
        recipe, out=tmp_path, device="cpu", progress=lambda done, total, told: losses.append(told["loss"])
    )
    assert sum(losses[-3:]) < sum(losses[:3])
    card = path.with_suffix(".toml").read_text(encoding="utf-8")
    assert 'command = "magdr train identity-faces64"' in card
    for figure in ("auroc", "eer", "rank1", "edited", "others"):
        assert figure in card
    assert load_file(path)["fc.weight"].shape == (16, 1024)

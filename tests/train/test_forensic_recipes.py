"""The recipes of forensic models through the whole machinery, in miniature: weights, and a card that says
which forgeries they have seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from magdr_core.components.weights import read_card
from magdr_core.errors import MagdrError
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from magdr_core.train.forensic_recipes import FAMILY
from magdr_core.train.runner import find_recipe, train

BLENDS_AND_LOCAL = {"swap", "self-blended", "splice", "inpainted", "warped"}


@pytest.mark.parametrize(
    ("name", "families", "quality"),
    [
        ("forensic-blur64-without-generators-seed1", BLENDS_AND_LOCAL, "auc"),
        ("forensic-x-ray64", {"swap"}, "auc"),
        ("recovery64", set(), "rms"),
        ("localizer-box64-without-generators", BLENDS_AND_LOCAL, "iou"),
    ],
)
def test_a_forensic_recipe_gives_weights_that_a_registry_loads(tmp_path, name, families, quality):
    tiny = {"dataset": {"size": 32}, "pool": 8, "steps": 2, "batch": 4, "tested": 8}
    recipe = replace(find_recipe(name), params={"width": 8}, **tiny)
    path = train(recipe, out=tmp_path, device="cpu", log=lambda line: None)
    assert path.name == f"{name}.safetensors"
    card = read_card(path)
    assert card["command"] == f"magdr train {name}"
    assert quality in card["quality"]
    assert {k.removeprefix(FAMILY) for k in card["training"]["settings"] if k.startswith(FAMILY)} == families
    text = (
        f'[forensic.x]\nuse = "{recipe.use}"\nparams = {{ weights = "./{path.name}", width = 8 }}\n'
        '[parser.p]\nuse = "unet"\n'
    )
    model = Toolkit(parse_registry(text, tmp_path / "use.toml"), device="cpu").build("forensic", "x")
    assert set(model.component.trained_on.families) == families
    stored = load_file(path)
    now = model.component.state_dict()
    assert all(torch.equal(now[k], stored[k].float()) for k in stored)


@pytest.mark.parametrize("name", ["forensic-x-ray64-without-local", "recovery64-without-blends"])
def test_a_recipe_that_learns_from_none_of_a_group_has_no_variant_without_it(name):
    with pytest.raises(MagdrError, match="there is nothing to leave out"):
        find_recipe(name)

"""`magdr train NAME` with a recipe, a network and a trainer of a plugin's."""

from __future__ import annotations

import sys

import pytest
from safetensors.torch import load_file

from magdr_core.cli import main
from magdr_core.components.recipe import Recipe
from magdr_core.components.weights import read_card
from magdr_core.errors import MagdrError
from magdr_core.hosting.manager import PluginHost
from magdr_core.train.recipes import RECIPES
from magdr_core.train.runner import train
from tests.edits import edited

PLUGIN = '''
import torch
from torch import nn
from magdr_core.api import Recipe, RestorationSpec, Weights, hookimpl, load_state

MAGDR_API = 1

class Gain(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return (x * self.gain).clamp(0, 1)

def gain(*, weights: Weights = "random"):
    """Every pixel times one learned number."""
    net = Gain()
    if weights is not None:
        net.load_state_dict(load_state(weights))
    return net

class Trainer:
    def __init__(self, context):
        self.context = context
        self.modules = {"net": context.net}
        self.optimisers = {"net": torch.optim.SGD(context.net.parameters(), context.recipe.lr)}

    def step(self, i):
        x = self.context.split[[i]].images
        loss = (x * self.context.net.gain - 0.5 * x).square().mean()
        self.optimisers["net"].zero_grad()
        loss.backward()
        self.optimisers["net"].step()
        return {"loss": float(loss.detach())}

    def evaluate(self):
        return {"gain": float(self.context.net.gain.detach())}

@hookimpl
def magdr_restorations():
    return [RestorationSpec(name="gain", build=gain)]

@hookimpl
def magdr_recipes():
    return [
        Recipe(
            name="acme-gain", kind="restoration", use="acme/gain", trainer=Trainer, steps=30, pool=1, lr=0.5,
            dataset={"size": 32},
        )
    ]
'''


@pytest.fixture
def magdr(tmp_path, monkeypatch, capsys):
    (tmp_path / "acme.py").write_text(PLUGIN)
    (tmp_path / "registry.toml").write_text('[plugins]\nlocal = { acme = "./acme.py" }\n')
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["magdr", "train", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_train_lists_and_trains_a_plugin_s_recipe(magdr, tmp_path):
    code, out, _ = magdr()
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("stargan-faces64  generator stargan")
    assert lines[-1] == "acme-gain  restoration acme/gain, 30 steps"
    code, _, err = magdr("acme-gain", "--out", "made", "--device", "cpu")
    assert code == 0, err
    path = tmp_path / "made" / "acme-gain.safetensors"
    assert float(load_file(path)["gain"]) < 0.9, "it learned to go down from 1"
    card = read_card(path)
    assert card["command"] == "magdr train acme-gain"
    assert card["quality"]["gain"] == pytest.approx(float(load_file(path)["gain"]), abs=1e-3)
    assert "weights of the restoration 'acme/gain'" in path.with_suffix(".toml").read_text()


def test_train_says_what_a_misspelt_recipe_may_have_meant(magdr):
    code, _, err = magdr("acme-gian")
    assert code == 2
    assert "nothing to train named 'acme-gian'; did you mean 'acme-gain'?" in err


def test_train_says_what_needs_a_folder_of_portraits(magdr, tmp_path):
    _, out, _ = magdr()
    needing = [line.split()[0] for line in out.splitlines() if line.endswith("needs --data FOLDER")]
    assert needing == [name for name, recipe in RECIPES.items() if recipe.photos is not None]
    code, _, err = magdr("photo-editor64", "--device", "cpu")
    assert code == 2
    assert err == (
        "magdr: photo-editor64 learns from portraits of your own: --data FOLDER "
        "(its layout is in docs/data.md)\n"
    )
    code, _, err = magdr("photo-editor64", "--device", "cpu", "--data", "nowhere")
    assert code == 2
    assert "nowhere does not exist" in err
    assert len(err.splitlines()) == 1


def test_train_tells_a_broken_plugin_and_lists_the_others(magdr, tmp_path):
    (tmp_path / "acme.py").write_text(edited(PLUGIN, ("import torch\n", "1 / 0\n"), first=True))
    code, out, err = magdr()
    assert code == 0
    assert "edsr-faces64" in out
    assert "ZeroDivisionError" in err


def test_recipes_of_core_are_those_of_the_host_and_name_trainers_that_exist():
    assert dict(PluginHost().recipes) == RECIPES
    for name, recipe in RECIPES.items():
        module, _, trainer = recipe.trainer_name.partition(":")
        assert recipe.name == name
        assert callable(getattr(__import__(module, fromlist=[trainer]), trainer))


def test_recipe_with_a_trainer_that_there_is_none_of_is_told(tmp_path):
    recipe = Recipe(
        name="lost",
        kind="parser",
        use="unet",
        trainer="acme.lost:Trainer",
        steps=1,
        pool=1,
        params=RECIPES["parser-faces64"].params,
    )
    with pytest.raises(MagdrError, match=r"recipe 'lost': there is no trainer 'acme.lost:Trainer'"):
        train(recipe, out=tmp_path, device="cpu", log=lambda line: None)

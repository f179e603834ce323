"""The stylising and the inpainting network: what they are taught, and that their recipes run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from magdr_plugins.generators.inpaint import Inpainter
from magdr_plugins.generators.stylise import Styliser

from magdr_core.components.weights import read_card
from magdr_core.train import recipes, runner
from magdr_core.train.inpainting import InpaintingTrainer
from magdr_core.train.stylising import posterised, stylised
from magdr_core.train.translating_recipes import TRANSLATING_RECIPES
from tests.portraits import write_portraits

SMALL = {"width": 8, "blocks": 1, "size": 64}


def quiet(message):
    pass


def short(name):
    recipe = TRANSLATING_RECIPES[name]
    photos = {"size": 64, "variations": 2}
    return replace(recipe, name="tiny", params=SMALL, photos=photos, pool=8, batch=4, steps=2, tested=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_portraits(tmp_path_factory.mktemp("portraits"))


@pytest.mark.parametrize("name", TRANSLATING_RECIPES)
def test_the_recipe_trains_on_portraits_and_drawn_faces_and_says_how_good_it_is(
    name, data, tmp_path, monkeypatch
):
    monkeypatch.setitem(recipes.RECIPES, "tiny", short(name))
    path = runner.train("tiny", out=tmp_path, device="cpu", log=quiet, data=data)
    quality = read_card(path)["quality"]
    assert {"psnr", "ratio", "pgd_mean", "drawn_psnr", "drawn_ratio"} <= set(quality)
    assert all(math.isfinite(value) for value in quality.values())


@pytest.mark.parametrize("name", TRANSLATING_RECIPES)
def test_the_weights_of_the_whole_network_are_below_a_megabyte(name):
    recipe = TRANSLATING_RECIPES[name]
    net = {"stylise": Styliser, "inpaint": Inpainter}[recipe.use](**recipe.params)
    assert 2 * sum(p.numel() for p in net.parameters()) < 1_000_000


def test_tones_are_few_and_the_ends_stay():
    lightness = np.linspace(0, 100, 1001)
    made = posterised(lightness)
    assert made[0] == 0
    assert made[-1] == pytest.approx(100)
    assert (np.diff(made) >= 0).all()
    assert np.abs(np.diff(made)).max() < 1, "no jumps, which no network could learn"
    tones = np.array([0, 25, 50, 75, 100])
    near = np.abs(made[:, None] - tones).min(1) < 2.5
    assert near.mean() > 0.55, "of even tones, a fifth would be"


def test_a_drawing_is_flat_inside_and_has_dark_outlines():
    x = torch.full((1, 3, 64, 64), 0.75)
    x[..., 20:44, 20:44] = 0.3
    noisy = (x + 0.03 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    y = stylised(noisy)
    assert y.shape == x.shape
    assert 0 <= y.min() <= y.max() <= 1
    inside, wall = y[..., 26:38, 26:38], y[..., 4:14, 4:14]
    assert inside.std() < 0.5 * noisy[..., 26:38, 26:38].std()
    assert y[0, :, 17:23, 30:34].mean(0).min() < 0.6 * min(inside.mean(), wall.mean())


def test_each_picture_is_drawn_by_itself():
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(stylised(x)[1:2], stylised(x[1:2]))


@pytest.fixture(scope="module")
def inpainting(data, tmp_path_factory):
    torch.manual_seed(0)
    cache = tmp_path_factory.mktemp("inpaint") / "images.pt"
    return InpaintingTrainer(runner._context(short("inpaint64"), "cpu", cache, quiet, data=data))


def test_the_inpainter_is_taught_the_picture_behind_the_hole_and_learns_it(inpainting):
    losses = [inpainting.step(0)["region"] for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(inpainting.images, inpainting.results)


def test_a_filling_of_the_mean_colour_counts_as_having_learned_nothing(inpainting, monkeypatch):
    class Mean:
        def __call__(self, x, c):
            region = inpainting.region(x, c)
            return torch.where(region > 0, inpainting.copied(x, region), x)

        missing = staticmethod(inpainting.net.missing)
        condition_names = inpainting.net.condition_names

    monkeypatch.setattr(inpainting, "net", Mean())
    test = inpainting.context.for_testing()
    assert inpainting.quality(test)["ratio"] == pytest.approx(1)

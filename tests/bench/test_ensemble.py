"""The ensemble variant: the output averaged with those of processed inputs, with geometry undone."""

import csv

import pytest

from magdr_core.bench.evaluate import outputs
from magdr_core.runtime.samples import draw_samples
from magdr_core.toolkit import Toolkit

COPIER = '''
"""A generator that copies: it does the same to a flipped picture."""
import torch
from magdr_core.api import Condition, GeneratorSpec, hookimpl
from magdr_core.functional import PARTS
MAGDR_API = 1


class Copier(torch.nn.Module):
    size = 32
    condition_names = ("Smiling",)

    def forward(self, x, c):
        return x * 1.0

    def edited(self, c):
        return torch.zeros(len(c), len(PARTS), dtype=torch.bool)

    def draw(self, batch, rng):
        source = batch.attributes["Smiling"][:, None]
        return Condition(1 - source, torch.ones_like(source, dtype=torch.bool))


def copier():
    """Copies."""
    return Copier()


@hookimpl
def magdr_generators():
    return [GeneratorSpec(name="copier", build=copier)]
'''

TEXT = """
[registry]
name = "flipped"

[plugins]
local = { toy = "./copier.py" }

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.copier]
use = "toy/copier"

[attack.pgd]
params = { eps = "6/255", steps = 1 }

[defense.identity]
[restoration.jpeg]

[profile.quick]
samples = 3
attacks = ["pgd"]
defenses = ["jpeg"]
ensemble = ["flip"]
pictures = 0
"""


def errors(run):
    """Of the undefended outputs on clean faces, by variant."""
    with (run.folder / "results.csv").open(newline="") as f:
        return {
            r["variant"]: float(r["value"])
            for r in csv.DictReader(f)
            if (r["component"], r["attack"], r["metric"]) == ("identity", "none", "mse_o")
        }


def test_geometry_is_undone_before_outputs_are_averaged(fresh_shop):
    """What a generator makes of a flipped picture, flipped back, is here the picture itself."""
    (fresh_shop.folder / "copier.py").write_text(COPIER)
    run = fresh_shop.run(TEXT, "flipped.toml")
    assert run.failures == []
    assert errors(run) == {"": 0.0, "ensemble": 0.0}


def test_the_ensemble_is_the_mean_of_the_plain_and_the_processed_outputs(shop):
    kit = Toolkit.from_registry(shop.folder / "small.toml")
    G, flip = kit.generator("editing"), kit.build("augmentation", "flip")
    data = kit.build("dataset", "faces").split("test")
    faces, _ = draw_samples(data, G, first=0, count=5, seed=0)
    plain = outputs(faces.images, faces, G)
    mean = (plain + flip.undo(outputs(flip(faces.images), faces, G))) / 2
    error = ((mean - plain) * 255).square().mean().item()
    assert error > 0
    assert errors(shop.first)["ensemble"] == pytest.approx(error, rel=1e-4)

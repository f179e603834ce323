"""The option `oracle`: a component that asks for exact masks is handed those of the very picture."""

import csv

import pytest

from magdr_core.functional import PARTS, merge_classes, part_index
from magdr_core.toolkit import Toolkit

PLUGIN = '''
"""Scores a picture by the exact area of the hair, and notes who is handed masks unasked."""
import torch
from magdr_core.api import DefenseSpec, DetectorSpec, hookimpl
from magdr_core.functional import area, part_index
MAGDR_API = 1


class Hair:
    def __init__(self, oracle):
        self.oracle = oracle

    def __call__(self, x, c, G):
        if not self.oracle:
            return torch.full((len(x),), float(c.oracle_masks is not None))
        return area(c.oracle_masks)[:, part_index("hair")]


def hair(*, oracle: bool = False):
    """Exact area of the hair."""
    return Hair(oracle)


class Bald(Hair):
    def __call__(self, x, c, G):
        if not self.oracle:
            return x if c.oracle_masks is None else 1 - x
        return x * (1 - c.oracle_masks[:, part_index("hair"), None])


def bald(*, oracle: bool = False):
    """Blackens the hair."""
    return Bald(oracle)


@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="hair", build=hair)]


@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="bald", build=bald)]
'''

TEXT = """
[registry]
name = "exact"

[plugins]
local = { acme = "./hair.py" }

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.editing]
use = "stargan"
params = { weights = "random", width = 4, blocks = 1, size = 32 }

[attack.pgd]
params = { eps = "6/255", steps = 1 }

[detector.exact]
use = "acme/hair"
params = { oracle = true }
[detector.estimated]
use = "acme/hair"
[defense.exact]
use = "acme/bald"
params = { oracle = true }
[defense.estimated]
use = "acme/bald"

[calibration]
fit = 12
clean = 20
attacked = 4
benign = []

[profile.quick]
samples = 4
attacks = ["pgd"]
detectors = ["exact", "estimated"]
defenses = ["exact", "estimated"]
pictures = 0
"""


@pytest.fixture
def run(fresh_shop):
    (fresh_shop.folder / "hair.py").write_text(PLUGIN)
    return fresh_shop.run(TEXT)


def test_exact_masks_are_handed_to_those_that_ask_and_to_nobody_else(run, fresh_shop):
    assert run.failures == []
    scores = {
        (c.facts.component, c.facts.attack): c.values["score"]
        for c in run.cells
        if c.facts.role == "detector"
    }
    faces = Toolkit.from_registry(fresh_shop.folder / "small.toml").build("dataset", "faces").split("test")
    masks = merge_classes(faces[list(range(4))].masks)
    hair = masks[:, part_index("hair")].mean((1, 2)).tolist()
    assert masks.shape[1] == len(PARTS)
    for attack in ("none", "pgd"):
        assert scores["exact", attack] == pytest.approx(hair, abs=1e-6)
        assert scores["estimated", attack] == [0.0] * 4
    with (run.folder / "results.csv").open(newline="") as f:
        error = {
            (r["component"], r["attack"]): float(r["value"])
            for r in csv.DictReader(f)
            if r["role"] == "defense" and r["metric"] == "mse_o" and not r["variant"]
        }
    assert error["estimated", "none"] == 0.0
    assert error["exact", "none"] > 1.0

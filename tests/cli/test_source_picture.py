"""Generators that put in another picture's face, move as it does, or take its style: bench, attack, defend,
detect."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.bench.run import Bench
from magdr_core.components.condition import CodedCondition
from magdr_core.runtime.samples import draw_samples
from magdr_core.toolkit import Toolkit
from tests.edits import edited
from tests.plugins.fomm_reference import trained

MADE = {"width": 8, "blocks": 1, "depth": 2, "keypoints": 3, "reduced": 2}

CLIPS = '''
"""Three noisy pictures each of six persons."""
import torch
from magdr_core.api import Batch, DatasetSpec, hookimpl

MAGDR_API = 1

class Clips:
    size = 32

    def split(self, name):
        return self

    def __len__(self):
        return 18

    def __getitem__(self, rows):
        images = torch.rand(18, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        rows = list(rows)
        return Batch(images[rows], tuple(f"frame-{i}" for i in rows), identities=-1 - torch.tensor(rows) // 3)

    def fingerprint(self):
        return "clips"

@hookimpl
def magdr_datasets():
    return [DatasetSpec(name="clips", build=Clips)]
'''

REGISTRY = """
[registry]
name = "swap"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[identity_encoder.who]
use = "identity-net"
params = { width = 4, dimension = 8 }
[generator.swap]
use = "simswap"
params = { encoder = "who", donor = "faces", width = 16, blocks = 1, size = 32 }
[generator.cloaked]
use = "simswap"
params = { encoder = "who", donor = "faces", width = 16, blocks = 1, size = 32, protects = "source" }
[plugins]
local = { films = "./films.py" }
[dataset.clips]
use = "films/clips"
[generator.driven]
use = "fomm"
params = { weights = "fomm.pth", donor = "clips", motion = "relative", size = 32, MADE }
[generator.styled]
use = "hisd"
params = { width = 4, layers = 1, extractor = [4, 8], style = 8, noise = 4, size = 32 }
[generator.editing]
use = "stargan"
params = { weights = "random", width = 4, blocks = 1, size = 32 }
[parser.faces]
use = "unet"
params = { weights = "random", width = 8 }
[attack.pgd]
params = { eps = "6/255", steps = 2 }
[detector.magdr]
[defense.magdr]
params = { detector = "magdr" }
[magdr]
parser = "faces"
criteria = ["l1"]
augmentations = ["flip"]
candidate_augmentations = ["flip"]
layers = [["median"]]
[calibration]
fit = 12
clean = 20
attacked = 4
attacks = ["pgd"]
[profile.quick]
generators = ["swap"]
samples = 3
attacks = ["pgd"]
detectors = ["magdr"]
defenses = ["magdr"]
pictures = 1
[profile.cloaks]
generators = ["cloaked"]
samples = 2
attacks = ["pgd"]
defenses = ["median"]
oracle = false
pictures = 1
[profile.cloaks.identity]
encoders = ["who"]
[profile.driving]
generators = ["driven"]
samples = 2
attacks = ["pgd"]
defenses = ["median"]
oracle = false
pictures = 1
[restoration.median]
"""


@pytest.fixture(scope="module")
def swaps(tmp_path_factory) -> Path:
    """A folder with the registry, and what a benchmark of it has left."""
    folder = tmp_path_factory.mktemp("swap")
    path = folder / "swap.toml"
    made = ", ".join(f"{name} = {value}" for name, value in MADE.items())
    path.write_text(edited(REGISTRY, ("MADE", made)), encoding="utf-8")
    torch.save({**trained(**MADE), "epoch": 99}, folder / "fomm.pth")
    (folder / "films.py").write_text(CLIPS, encoding="utf-8")
    Bench(Toolkit.from_registry(path), "quick", out=folder / "run", cache=folder / "cache").run()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "other.png"):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def run(magdr, swaps, tmp_path):
    """A command on `a.png`, with the registry."""

    def call(command, *more, task="swap"):
        options = ["--registry", swaps / "swap.toml", "--task", task, "--whole", "--json"]
        if command != "detect":
            options += ["--out", tmp_path / "out"]
        return magdr(command, swaps / "a.png", *options, "--cache", swaps / "cache", *more)

    return call


def test_a_benchmark_gives_every_picture_a_donor_or_a_style_of_its_own(swaps):
    with (swaps / "run" / "results.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert {row["generator"] for row in rows} == {"simswap"}
    assert {row["attack"] for row in rows} >= {"pgd"}
    toolkit = Toolkit.from_registry(swaps / "swap.toml")
    split = toolkit.build("dataset", "faces").split("test")
    for label in ("swap", "cloaked", "driven", "styled"):
        drawn = [draw_samples(split, toolkit.generator(label), first=0, count=n, seed=0)[0] for n in (4, 2)]
        c, fewer = (samples.conditions for samples in drawn)
        assert isinstance(c, CodedCondition)
        assert len(c.code.flatten(1).unique(dim=0)) >= 3, "two may draw the same one of so few"
        assert not c[:2].differs(fewer).any(), "whatever else is in the batch"


def figures(folder):
    """Figures of a run by role, component, attack and metric."""
    with (folder / "results.csv").open(newline="") as f:
        rows = [row for row in csv.DictReader(f) if row["value"]]
    return {(r["role"], r["component"], r["attack"], r["metric"]): float(r["value"]) for r in rows}


def test_a_benchmark_of_protected_sources_says_whose_face_is_left(swaps, tmp_path):
    toolkit = Toolkit.from_registry(swaps / "swap.toml")
    run = Bench(toolkit, "cloaks", out=tmp_path / "run", cache=swaps / "cache").run()
    assert not run.failures
    rows = figures(run.folder)
    assert rows["defense", "identity", "none", "identity_o"] == pytest.approx(1, abs=1e-5)
    assert rows["attack", "pgd", "pgd", "identity_o"] < 1
    assert rows["attack", "pgd", "pgd", "mse_o"] > 0
    assert ("attack", "pgd", "pgd", "mse_aim") not in rows, "its aim is not the input"


def test_a_benchmark_of_animated_pictures_measures_how_far_an_attack_moves_them(swaps, tmp_path):
    toolkit = Toolkit.from_registry(swaps / "swap.toml")
    run = Bench(toolkit, "driving", out=tmp_path / "run", cache=swaps / "cache").run()
    assert not run.failures
    rows = figures(run.folder)
    assert rows["attack", "pgd", "pgd", "mse_o"] > 0
    assert rows["defense", "median", "pgd", "mse_o"] > 0


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize("task", ["swap", "cloaked", "driven"])
def test_attack_aims_at_the_swap_with_the_other_picture(run, swaps, task):
    outputs = []
    for name in ("b.png", "other.png"):
        done = run("attack", "--source", swaps / name, task=task)
        assert done.code == 0, done.err
        assert done.document["source"] == str(swaps / name)
        (result,) = done.document["results"]
        assert result["largest_change"] == "6/255"
        moved = np.abs(pixels(result["files"]["attacked"]) - pixels(swaps / "a.png"))
        assert 5 <= moved.max() <= 6
        outputs.append(pixels(result["files"]["output"]))
    assert (outputs[0] != outputs[1]).any(), "another face is put in, drives or is put into"


@pytest.mark.parametrize(
    ("task", "commands"),
    [("swap", ("defend", "detect")), ("cloaked", ("defend",)), ("driven", ("defend",))],
)
def test_defend_and_detect_judge_the_swap_with_the_other_picture(run, swaps, task, commands):
    for command in commands:
        done = run(command, "--source", swaps / "b.png", task=task)
        assert done.code == 0, done.err
        (result,) = done.document["results"]
        json.dumps(result)
        assert done.document["set"] == {}
        assert done.document["source"] == str(swaps / "b.png")


def test_styles_come_from_a_source_or_are_fixed(run, swaps):
    outputs = []
    for more in ((), (), ("--source", swaps / "b.png")):
        done = run("attack", "--set", "Bangs_with", *more, task="styled")
        assert done.code == 0, done.err
        outputs.append(pixels(done.document["results"][0]["files"]["output"]))
    assert (outputs[0] == outputs[1]).all()
    assert (outputs[0] != outputs[2]).any()


@pytest.mark.parametrize(
    ("task", "more", "said"),
    [
        ("swap", (), "the generator puts together two pictures; name the other one with --source FILE"),
        ("driven", (), "the generator puts together two pictures; name the other one with --source FILE"),
        ("styled", ("--source", "a.png"), "say what the generator shall do with --set NAME; it knows Bangs"),
        ("editing", ("--set", "Smiling", "--source", "a.png"), "the generator takes no source picture"),
        ("editing", ("--set", "Smiling", "--text", "smile"), "the generator takes no text"),
        ("swap", ("--source", "nothing.png"), "nothing.png"),
    ],
    ids=["no source", "no driving picture", "no edit", "takes none", "takes no text", "no such file"],
)
def test_what_is_missing_or_too_much_is_said_in_one_line(run, swaps, monkeypatch, task, more, said):
    more = [swaps / one if str(one).endswith(".png") else one for one in more]
    done = run("attack", *more, task=task)
    assert done.code == 2
    assert said in (done.err + done.out)

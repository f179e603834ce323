"""A benchmark on the pretended device: a cell of each role, an attack, calibration, and an adaptive step."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from magdr_core.bench.run import Bench, RunResult
from magdr_core.testing.fake_cuda import Event, fake_cuda
from magdr_core.toolkit import Toolkit
from tests.fake_cuda.places import SETTLED, doubles, unlisted, waits

REGISTRY = """
[registry]
name = "tiny"
device = "auto"

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }

[parser.faces]
use = "unet"
params = { weights = "random", width = 8 }

[attack.pgd]
params = { eps = "6/255", steps = 2 }

[detector.distortion]
use = "magdr"
params = { evidence = "distortion", form = "standardised" }

[defense.magdr]
params = { detector = "distortion", gate = "fpr" }

[magdr]
parser = "faces"
criteria = ["l1"]
augmentations = ["flip"]
candidate_augmentations = ["flip"]
layers = [["median"], ["jpeg"]]

[calibration]
fit = 12
clean = 20
attacked = 4
benign = ["flip"]

[profile.quick]
samples = 2
attacks = ["pgd"]
detectors = ["distortion"]
defenses = ["magdr"]
pictures = 0

[profile.quick.adaptive]
attacks = ["pgd"]
detectors = ["distortion"]
defenses = ["magdr"]
steps = 1
penalties = [1.0]
queries = 1
"""

WAITS = {
    SETTLED: "the checks of a cell are looked at together, before it is stored",
    "magdr_core.shared:SharedTensors._unchanged": "what cells share is verified before one is stored, in one read",
}
DOUBLES: dict[str, str] = {}


@dataclass
class Run:
    result: RunResult
    events: list[Event]


def bench(folder: Path) -> RunResult:
    path = folder / "tiny.toml"
    path.write_text(REGISTRY, encoding="utf-8")
    return Bench(Toolkit.from_registry(path), "quick", out=folder / "run", cache=folder / "cache").run()


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Run:
    with fake_cuda() as card:
        result = bench(tmp_path_factory.mktemp("cuda"))
        return Run(result, list(card.events))


def rows(result):
    with (result.folder / "results.csv").open(newline="") as f:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


def test_a_benchmark_has_cells_of_every_role_and_no_failures(here):
    assert not here.result.failures
    told = {(row["role"], row["knowledge"]) for row in rows(here.result)}
    assert {("attack", "none"), ("detector", "oblivious"), ("defense", "oblivious")} <= told
    assert {("detector", "adaptive"), ("defense", "adaptive")} <= told
    assert here.result.manifest["device"] == "fake CUDA device"


def test_its_numbers_are_those_of_the_cpu(here, tmp_path):
    mine, theirs = rows(here.result), rows(bench(tmp_path))
    assert [r | {"value": "", "ci_low": "", "ci_high": ""} for r in mine] == [
        r | {"value": "", "ci_low": "", "ci_high": ""} for r in theirs
    ]
    for one, other in zip(mine, theirs, strict=True):
        assert float(one["value"]) == pytest.approx(float(other["value"]), rel=1e-5, abs=1e-7, nan_ok=True)


def test_a_benchmark_waits_only_where_listed(here):
    assert unlisted(waits(here.events), WAITS) == ([], [])


def test_a_benchmark_is_double_only_where_listed(here):
    assert unlisted(doubles(here.events), DOUBLES) == ([], [])

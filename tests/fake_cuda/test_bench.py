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
defenses = ["magdr"]
steps = 1
penalties = [1.0]
queries = 1
"""

ONCE_A_GROUP = "once a group of cells, or while a calibration is fitted"
SEARCH = "the attack decides on the host what to try next: some numbers a step"
STORED = "what is stored lies on the host: once a cell"

WAITS = {
    SETTLED: "the checks of a cell are looked at together, before it is stored",
    "magdr_core.isolation.expectations:expect": ONCE_A_GROUP,
    "magdr_core.isolation.shared_tensors:_unchanged": "what cells share is verified before one is stored",
    "magdr_core.magdr.loop:MagDR._run": "which images go on to another round decides what is computed at all",
    "magdr_core.magdr.standardise:target_names": "figures are kept by the name of a target region",
    "magdr_core.adaptive.attempt:ascend": SEARCH,
    "magdr_core.adaptive.attack:pooled": SEARCH,
    "magdr_core.adaptive.attack:AdaptiveAttack._finish": SEARCH,
    "magdr_core.adaptive.discrete_choice:_worthwhile.<locals>.<dictcomp>": SEARCH,
    "magdr_core.adaptive.discrete_choice:softmin.<locals>.value": SEARCH,
    "magdr_core.adaptive.gradient_unmasking:Lifted.__torch_function__": "reads of what is attacked",
    "magdr_core.adaptive.gradient_paths:_probe": SEARCH,
    "magdr_core.adaptive.gradient_paths:_same": SEARCH,
    "magdr_core.bench.roles.defense:DefenseRole.attacked_values": STORED,
    "magdr_core.bench.evaluate:attack_values.<locals>.<dictcomp>": STORED,
    "magdr_core.bench.scenarios.adaptive_cells:AdaptiveCells._undefended_values.<locals>.<dictcomp>": STORED,
    "magdr_core.bench.scenarios.adaptive_cells:AdaptiveCells.values": STORED,
    "magdr_core.bench.evaluate:detector_values": STORED,
    "magdr_core.measures.image_quality:Yardstick.compare": "of equal images all is known: once a cell",
    "magdr_core.measures.image_quality:Yardstick.compare.<locals>.<dictcomp>": STORED,
    "magdr_core.files.sealed:seal_images": STORED,
    "magdr_core.bench.roles.defense:Restoring._worst": "pictures of the report, picked by their places",
    "magdr_core.components.condition:TensorCondition.__getitem__.<locals>.<lambda>": "pictures of the report",
    "magdr_core.bench.images:GroupImages.clean": ONCE_A_GROUP,
    "magdr_core.bench.images:GroupImages.of": ONCE_A_GROUP,
    "magdr_core.runtime.samples:draw_samples": ONCE_A_GROUP,
    "magdr_core.calibration.calibrator:Calibrator.scores": ONCE_A_GROUP,
    "magdr_core.magdr.chains:explore": ONCE_A_GROUP,
    "magdr_core.magdr.chains:explore.<locals>.tried": ONCE_A_GROUP,
    "magdr_core.magdr.shortlist:_array": ONCE_A_GROUP,
    "magdr_core.magdr.standardise:Standard.fit": ONCE_A_GROUP,
}
FEW = "some numbers an image"
DOUBLES = {
    "magdr_core.adaptive.attempt": FEW,
    "magdr_core.adaptive.attack": FEW,
    "magdr_core.adaptive.victim": FEW,
    "magdr_core.adaptive.gradient_paths": "whether two gradients point the same way, once an attack",
    "magdr_core.bench.evaluate": FEW,
    "magdr_core.calibration.calibrator": FEW,
    "magdr_core.functional.constants": "tables that double arithmetic is done with",
    "magdr_core.functional.eightbit": "rounding of JPEG's double levels",
    "magdr_core.functional.jpeg": "a coefficient on the wrong side of a tie is a visible difference",
    "magdr_core.magdr.chains": "while a calibration is fitted",
    "magdr_core.magdr.shortlist": "while a calibration is fitted",
    "magdr_core.magdr.standardise": "while a calibration is fitted",
}


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
    assert ("defense", "adaptive") in told
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

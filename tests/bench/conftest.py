"""A benchmark small enough for tests: untrained networks, 32-pixel faces, a handful of samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from magdr_core.bench.run import Bench, RunResult
from magdr_core.toolkit import Toolkit

DEFENSES = 'defenses = ["magdr", "jpeg", "fixed-chain"]'

SMALL = """
[registry]
name = "small"

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

[detector.magdr]
[detector.distortion]
use = "magdr"
params = { evidence = "distortion" }

[defense.magdr]
params = { detector = "magdr" }
[defense.identity]
[defense.fixed-chain]

[restoration.jpeg]

[magdr]
parser = "faces"
criteria = ["l1"]
augmentations = ["flip"]
candidate_augmentations = ["flip"]
layers = [["median"], ["jpeg"]]

[calibration]
fit = 40
clean = 40
attacked = 6
benign = ["flip"]

[profile.quick]
samples = 5
attacks = ["pgd", "noise"]
detectors = ["magdr", "distortion"]
defenses = ["magdr", "jpeg", "fixed-chain"]
ensemble = ["flip"]
benign = ["jpeg"]
pictures = 2
"""


class Workshop:
    """Runs benchmarks in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[str] = []

    def bench(self, text: str = SMALL, name: str = "small.toml", out: str = "run", **options) -> Bench:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return Bench(
            Toolkit.from_registry(path),
            "quick",
            out=self.folder / out,
            cache=self.folder / "cache",
            report=self.messages.append,
            **options,
        )

    def run(self, *args, **kwargs) -> RunResult:
        return self.bench(*args, **kwargs).run()


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Workshop:
    """One folder and store for all tests here, with the small benchmark done."""
    shop = Workshop(tmp_path_factory.mktemp("bench"))
    shop.first = shop.run()
    return shop


@pytest.fixture
def fresh_shop(tmp_path) -> Workshop:
    return Workshop(tmp_path)

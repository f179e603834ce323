"""The commands on one's own files, in this process, with networks that are untrained but calibrated."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from magdr_core.cli import main
from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Generator
from magdr_core.functional import to_8bit
from magdr_core.magdr import Outcome
from magdr_core.magdr.loop import MagDR
from tests.bench.conftest import SMALL

ALWAYS, NEVER = -1e9, 1e9


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def magdr(monkeypatch, capsys, tmp_path) -> Callable[..., Done]:
    """`magdr("defend", ...)` in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["magdr", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capsys.readouterr()
        return Done(exit_.value.code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Path:
    """A folder with `small.toml` and its calibration: `always.json` and `never.json` flag what they say,
    `between.json` flags nothing and lets all be restored, `clean-like.json` does that of scores that are
    more like those of clean faces, `lost.json` covers no picture, and `lost-clean.json` would flag none
    either."""
    folder = tmp_path_factory.mktemp("own")
    registry = folder / "small.toml"
    registry.write_text(SMALL, encoding="utf-8")
    arguments = ["calibrate", registry, "--out", folder / "c.json", "--cache", folder / "cache"]
    before, sys.argv = sys.argv, ["magdr", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as exit_:
            main()
    finally:
        sys.argv = before
    assert exit_.value.code == 0
    for name, threshold, parting, gate in (
        ("always", ALWAYS, ALWAYS, ALWAYS),
        ("never", NEVER, NEVER, NEVER),
        ("between", NEVER, ALWAYS, ALWAYS),
        ("clean-like", NEVER, NEVER, ALWAYS),
        ("lost", ALWAYS, ALWAYS, ALWAYS),
        ("lost-clean", NEVER, NEVER, ALWAYS),
    ):
        data = json.loads((folder / "c.json").read_text())
        for entry in data["entries"].values():
            if "thresholds" in entry:
                entry["thresholds"] = {"fpr": threshold, "f1": parting}
            if "gate" in entry["state"]:
                entry["state"]["gate"] = gate
            if name.startswith("lost") and "familiarity" in entry["state"]:
                entry["state"]["familiarity"]["limit"] = 0.0
        (folder / f"{name}.json").write_text(json.dumps(data))
    return folder


@pytest.fixture
def own(magdr, workshop) -> Callable[..., Done]:
    """`own("defend", "a.png", flags="always")`: with the small registry, hair to be blond."""

    def run(command: str, *arguments: str | Path, flags: str = "never") -> Done:
        options: list[str | Path] = ["--registry", workshop / "small.toml", "--set", "Blond_Hair"]
        if command != "attack":
            options += ["--calibration", workshop / f"{flags}.json", "--cache", workshop / "cache"]
        return magdr(command, *arguments, *options)

    return run


@pytest.fixture
def restoring(monkeypatch) -> None:
    """Whatever is above the gate is made darker: untrained networks find no restoration better than none."""
    run = MagDR.run

    def restored(self: MagDR, x: torch.Tensor, c: Condition, G: Generator) -> Outcome:
        found = run(self, x, c, G)
        over = (found.score > found.gate) & bool(self.rounds)
        return replace(
            found,
            restored=torch.where(over[:, None, None, None], to_8bit(0.8 * x), found.restored),
            rounds=found.rounds.masked_fill(over, 1),
            plans=[["darker"] if on else plan for on, plan in zip(over.tolist(), found.plans, strict=True)],
        )

    monkeypatch.setattr(MagDR, "run", restored)


@pytest.fixture(scope="session")
def couple(astronaut) -> Image.Image:
    """Two faces side by side, 500 x 250 pixels; the cut of the right one is smaller."""
    picture = Image.new("RGB", (500, 250), (128, 128, 128))
    picture.paste(astronaut, (10, 10))
    picture.paste(astronaut.resize((150, 150)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (300, 50))
    return picture


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    """A photograph of 230 x 230 pixels with one face."""
    return Image.fromarray(skimage.data.astronaut()[:230, 110:340])

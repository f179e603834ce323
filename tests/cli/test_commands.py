"""What the commands print and write when all is well."""

import importlib
import json
import logging
from pathlib import Path

import click
import pytest
from PIL import Image

from magdr_core.files import remote
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited

RANDOM = 'weights = "random", width = 8, blocks'

# The README's plugin, which is design and documentation at once.
README = Path(__file__).parents[2] / "README.md"


def readme_block(language, containing):
    blocks = README.read_text(encoding="utf-8").split("```")[1::2]
    return next(
        b.removeprefix(language).lstrip("\n") for b in blocks if b.startswith(language) and containing in b
    )


def test_a_plugin_file_outside_the_repository_appears_in_the_tables(magdr, tmp_path):
    code = readme_block("python", "Median-filter")
    assert len([line for line in code.splitlines() if line.strip()]) <= 14
    (tmp_path / "acme_median.py").write_text(code)
    text = edited(SMALL, (DEFENSES, 'defenses = ["acme-median"]'))
    text = edited(text, ('detectors = ["magdr", "distortion"]', "detectors = []"))
    own = readme_block("toml", "acme")
    (tmp_path / "mine.toml").write_text(text + own[own.index("[plugins]") : own.index("[profile")])
    done = magdr("bench", "mine.toml", "--out", "run")
    assert done.code == 0, done.err
    assert "acme-median" in done.out
    assert "acme-median" in (tmp_path / "run" / "results.csv").read_text()
    assert "acme-median" in (tmp_path / "run" / "report.html").read_text()


def test_plugins_list_names_every_built_in(magdr):
    done = magdr("plugins", "list", "--json")
    assert done.code == 0, done.err
    names = {(e["kind"], e["name"]) for e in json.loads(done.out)}
    for kind, wanted in {
        "metric": "l1 l2 ssim psnr",
        "augmentation": "jpeg flip shift resize bilateral median",
        "restoration": "gaussian median bilateral nlm tv jpeg bit-depth resize sharpen",
        "attack": "pgd noise",
        "detector": "magdr",
        "defense": "magdr identity filter",
        "generator": "stargan",
        "parser": "unet",
        "dataset": "procedural-faces",
    }.items():
        assert {(kind, name) for name in wanted.split()} <= names


def test_a_blocked_plugin_is_not_listed(magdr):
    done = magdr("plugins", "list", "--block", "builtin.attacks.*")
    assert "builtin.attacks" not in done.out
    assert "builtin.metrics" in done.out


@pytest.mark.parametrize("command", ["demo", "defend", "attack", "inspect", "export", "onnx"])
def test_the_files_that_a_command_writes_are_told_in_lines_that_a_narrow_terminal_holds(command):
    """Lists of files are printed as they stand: click breaks no line of them."""
    real = importlib.import_module(f"magdr_core.cli.{command}").command
    context = click.Context(real, info_name=f"magdr {command}", terminal_width=60)
    lines = context.get_help().splitlines()
    assert any(line.strip().split(" ")[0].endswith((".png", ".html", ".csv,")) for line in lines)
    assert [line for line in lines if len(line) > 60] == []


def test_plugins_show_tells_parameters_source_and_file(magdr):
    done = magdr("plugins", "show", "pgd")
    for words in ("eps", "steps: int >= 1, <= 100000; default 30", "Madry", "builtin.attacks.pgd", "pgd.py"):
        assert words in done.out


def test_plugins_show_tells_what_parameters_and_needs_mean(magdr):
    done = magdr("plugins", "show", "eq3")
    lines = [line.strip() for line in done.out.splitlines()]
    for name, meaning in (
        ("eps:", "L-infinity bound in [0,1] units."),
        ("augmentations:", "Image processings f_k over which the loss is averaged."),
    ):
        at = next(i for i, line in enumerate(lines) if line.startswith(name))
        assert lines[at + 1] == meaning
    (facts,) = magdr("plugins", "show", "eq3", "--json").document
    told = {p["name"]: p["meaning"] for p in facts["parameters"]}
    assert told["eps"] == "L-infinity bound in [0,1] units."
    assert facts["needs"] == {"augmentations": "augmentation"}


def test_faces_saves_a_grid(magdr, tmp_path):
    done = magdr("faces", "grid.png", "--count", "6", "--columns", "3", "--size", "64")
    assert done.code == 0, done.err
    assert Image.open(tmp_path / "grid.png").size == (3 * 66 - 2, 2 * 66 - 2)


def test_calibrate_writes_a_file_that_a_registry_can_use(magdr, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = magdr("calibrate", "small.toml", "--out", "small.calibration.json")
    assert done.code == 0, done.err
    assert "disrupted is what scores above the threshold" in done.out
    assert "% false alarms, " in done.out
    assert " for the best F1" in done.out
    data = json.loads((tmp_path / "small.calibration.json").read_text())
    assert {e["label"] for e in data["entries"].values()} == {"magdr", "distortion", "fixed-chain"}
    assert data["provenance"]["policy"]["clean"] == 40
    text = edited(SMALL, ("[calibration]", '[calibration]\nfile = "small.calibration.json"'))
    (tmp_path / "with.toml").write_text(text)
    done = magdr("bench", "with.toml", "--cache", "other")
    assert done.code == 0, done.err
    assert not (tmp_path / "other" / "calibrations").exists()


def test_a_calibration_of_another_composition_is_refused(magdr, tmp_path):
    (tmp_path / "empty.json").write_text('{"schema": 1, "entries": {}}')
    text = edited(SMALL, ("[calibration]", '[calibration]\nfile = "empty.json"'))
    (tmp_path / "with.toml").write_text(text)
    done = magdr("bench", "with.toml", "--out", "run")
    assert done.code == 1
    assert "run `magdr calibrate`" in done.out


@pytest.mark.slow
@pytest.mark.timeout(900)  # both calls draw the training faces and measure the card
def test_a_short_training_can_be_continued(magdr, tmp_path):
    arguments = ("train", "stargan-faces64", "--steps", "2", "--out", "out")
    first = magdr(*arguments)
    assert first.code == 0, first.err
    assert (tmp_path / "out" / "stargan-faces64.toml").is_file()
    again = magdr(*arguments)
    assert "continuing at step 2" in again.out


def test_what_is_fetched_is_said_on_stderr(magdr, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "pieces", lambda _: logging.getLogger("magdr").info("fetching it") or [b""])
    address = f"https://example.org/a.pth#sha256={64 * '0'}"
    Path("far.toml").write_text(edited(SMALL, (RANDOM, edited(RANDOM, ("random", address)))))
    done = magdr("registry", "check", "far.toml")
    assert done.code == 2
    assert "magdr: fetching it\n" in done.err
    assert "are not the file that was named" in done.out
    assert not logging.getLogger("magdr").handlers

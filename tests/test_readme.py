"""What the README says works, as it says it; and the calibration that makes its first command quick."""

import re
from pathlib import Path

import pytest
import torch

from magdr_core.bench.plan import is_restoration
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = README.split("```")[1::2]


def refuse(what, done, total):
    raise AssertionError(f"the shipped calibration does not cover this: {what}")


@pytest.mark.parametrize(
    ("registry", "task", "profile"),
    [
        *(("builtin:faces64", "editing", profile) for profile in ("quick", "detection", "full")),
        *(("builtin:faces64", "reenactment", profile) for profile in ("quick", "detection")),
        *(("builtin:faces64", "replacement", profile) for profile in ("quick", "detection")),
        ("builtin:photos", "editing", "quick"),
    ],
)
def test_the_shipped_calibrations_cover_the_registries_of_the_package(tmp_path, registry, task, profile):
    toolkit = Toolkit.from_registry(registry, device="cpu")
    chosen = toolkit.registry.profile(profile)
    dataset = toolkit.registry.dataset_of(task)
    calibrator = toolkit.calibrator(task, dataset, Store(tmp_path), progress=refuse)
    for label in chosen.detectors:
        thresholds = calibrator.detector(label).thresholds
        assert set(thresholds) == {"fpr", "f1"}
    for label in chosen.defenses:
        if not is_restoration(toolkit, label):
            calibrator.defense(label)
    assert not any(tmp_path.iterdir())


def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    code = next(b for b in BLOCKS if "toolkit.magdr" in b).removeprefix("python")
    exec(compile(code, "README", "exec"), names)
    assert names["edited"].shape == (3, 3, 64, 64)
    assert torch.isfinite(names["edited"]).all()
    assert "threshold" in capsys.readouterr().out


def test_the_table_of_commands_names_every_command_and_no_other():
    from magdr_core.hosting.commands import core_commands

    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `magdr ")]
    assert {row.split()[2].strip("`") for row in rows} == set(core_commands())


def test_pictures_of_the_readme_are_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_the_registry_of_the_example_runs_its_plugin_beside_magdr(tmp_path):
    for language, name in (("toml", "registry.toml"), ("python", "acme_median.py")):
        code = next(b for b in BLOCKS if b.startswith(language) and "acme" in b + name and "median" in b)
        (tmp_path / name).write_text(code.removeprefix(language))
    toolkit = Toolkit.from_registry(tmp_path / "registry.toml", device="cpu")
    profile = toolkit.registry.profile("mine")
    assert is_restoration(toolkit, "acme-median")
    assert {"identity", "magdr", "acme-median"} == set(profile.defenses)


def test_the_first_result_is_two_commands_away_and_before_all_tables():
    picture, commands = README.index("!["), README.index("magdr demo --open")
    assert picture < commands < README.index("| --- |")
    assert README.index("\n```\npip install .\nmagdr demo --open\n```\n") < 1500

"""What the README says works, as it says it; and the calibration that makes its first command quick."""

from pathlib import Path

import pytest
import torch

from magdr_core.bench.plan import is_restoration
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
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


def test_every_command_that_the_readme_names_exists():
    from magdr_core.hosting.commands import core_commands

    for line in README.splitlines():
        if line.startswith("| `magdr "):
            assert line.split()[2].strip("`") in core_commands()


def test_pictures_of_the_readme_are_there():
    for part in README.split("](")[1:]:
        target = part.split(")")[0]
        if target.endswith(".png"):
            assert (Path(__file__).parents[1] / target).is_file()

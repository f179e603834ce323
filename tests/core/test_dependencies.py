"""Every dependency says from which release on it works, and those releases are tested."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "lower_bounds.py"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]["requires"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("lower_bounds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def requirements():
    for requirement in [*PROJECT["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]:
        if not requirement.startswith(f"{PROJECT['name']}["):
            yield requirement


@pytest.mark.parametrize("requirement", sorted({*BUILD, *requirements()}))
def test_every_dependency_has_a_lower_bound_and_no_upper_one(requirement):
    assert re.fullmatch(r"[\w-]+>=\d+(\.\d+)*", requirement)


def test_lower_bounds_are_those_of_the_project_file(script):
    bounds = script.lower_bounds(EXTRAS)
    assert sorted(f"{name}>={version}" for name, version in bounds.items()) == sorted(set(requirements()))
    assert script.lower_bounds() == {r.split(">=")[0]: r.split(">=")[1] for r in PROJECT["dependencies"]}
    # An extra that is made of others stands for theirs.
    assert script.lower_bounds(["test"])["av"] == script.lower_bounds(["video"])["av"]


@pytest.mark.parametrize("requirement", ["torch", "torch<3", "torch==2.6", "torch>=2.6,<3", "ray[tune]>=2"])
def test_a_requirement_without_a_plain_lower_bound_is_refused(script, requirement):
    with pytest.raises(ValueError, match=re.escape(requirement)):
        dict(script._bounds([requirement], "magdr", {}))


def test_the_script_prints_what_pip_installs():
    printed = subprocess.run([sys.executable, SCRIPT, "video"], capture_output=True, text=True, check=True)
    lines = printed.stdout.splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)
    assert len(lines) == len(PROJECT["dependencies"]) + 1


def test_what_is_tested_first_is_what_a_user_gets():
    """Nothing holds the newest releases back: a pin would hide what fails with them."""
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert [file.name for file in ROOT.joinpath(".ci").glob("*.txt")] == []
    assert "--constraint" not in run
    assert '--upgrade --upgrade-strategy eager -e ".[dev]"' in run
    assert "job bash .ci/oldest" in run

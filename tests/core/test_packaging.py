"""What the wheel holds. A folder that is not listed works in editable mode and is missing from the wheel."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages(folder, name):
    for file in (ROOT / folder).rglob("__init__.py"):
        yield ".".join([name, *file.parent.relative_to(ROOT / folder).parts])


def test_packaging_lists_exactly_the_folders(project):
    there = sorted([*packages("magdr_core", "magdr_core"), *packages("plugins", "magdr_plugins")])
    assert project["tool"]["setuptools"]["packages"] == there
    assert project["tool"]["setuptools"]["package-dir"]["magdr_plugins"] == "plugins"


def test_packaging_every_folder_of_code_is_a_package():
    for folder in ("magdr_core", "plugins"):
        for file in (ROOT / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").is_file(), file.parent


def test_packaging_builtins_are_an_entry_point_like_any_other(project):
    assert project["project"]["entry-points"]["magdr"] == {"builtin": "magdr_plugins"}
    assert ("builtin", "magdr_plugins") in {(e.name, e.value) for e in entry_points(group="magdr")}


def test_packaging_data_files_match_a_pattern(project):
    patterns = project["tool"]["setuptools"]["package-data"]
    folders = {"magdr_core": ROOT / "magdr_core", "magdr_plugins": ROOT / "plugins"}
    covered = set()
    for package, globs in patterns.items():
        head, *rest = package.split(".")
        for pattern in globs:
            covered |= set(folders[head].joinpath(*rest).glob(pattern))
    data = {
        file
        for folder in folders.values()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert data <= covered, "these would be missing from the wheel"
    assert ROOT / "magdr_core" / "py.typed" in covered


def test_packaging_version_is_said_once(project):
    import magdr_core

    assert magdr_core.__version__ == project["project"]["version"]


def test_the_packaged_registry_is_the_one_at_the_root():
    from magdr_core.registry.read import packaged_registry

    assert packaged_registry().read_bytes() == (ROOT / "registry.toml").read_bytes()

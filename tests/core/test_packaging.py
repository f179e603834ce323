"""What the wheel holds. A folder that is not listed works in editable mode and is missing from the wheel."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
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
    code = [*packages("magdr_core", "magdr_core"), *packages("plugins", "magdr_plugins")]
    there = sorted([*code, "magdr_core.data"])  # setuptools wants folders of files listed as well
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


def test_the_container_installs_what_the_project_asks_for(project):
    from magdr_core.hosting.commands import core_commands

    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (torch,) = (need for need in project["project"]["dependencies"] if need.startswith("torch>"))
    assert f'"{torch}"' in text
    images = re.findall(r"^FROM python:3\.(\d+)-slim", text, re.M)
    least = re.fullmatch(r">=3\.(\d+)", project["project"]["requires-python"])[1]
    assert images
    assert all(int(image) >= int(least) for image in images)
    runs = [json.loads(said) for said in re.findall(r"^(?:ENTRYPOINT|CMD) (.+)$", text, re.M)]
    assert runs[0][0] in project["project"]["scripts"]
    assert runs[1][0] in core_commands()


def test_packaging_version_is_said_once(project):
    import magdr_core

    assert magdr_core.__version__ == project["project"]["version"]


def test_the_packaged_registry_is_the_one_at_the_root():
    from magdr_core.registry.read import packaged_registry

    assert packaged_registry().read_bytes() == (ROOT / "registry.toml").read_bytes()


# -- what is built ---------------------------------------------------------------------------------------

LEFT_OUT = (".git", ".venv*", "build", "dist", "runs", "*.egg-info", "__pycache__", ".*_cache")
BUILD = "import sys; sys.path.insert(0, 'build_backend'); import magdr_build as b; b.build_{}(sys.argv[1])"
UNFIT = ("absent from the `packages`", "Deprecat", "not found for", "does not exist", "warning: no ")
"""What setuptools warns with where a package, a pattern or a key of pyproject.toml is at fault."""


def build(what, source, into):
    """The archive of `source`, built as pip does it; fails where setuptools finds fault."""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", BUILD.format(what), str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    # The oldest setuptools that is allowed says so of itself.
    told = "\n".join(
        line for line in (done.stdout + done.stderr).splitlines() if "pkg_resources is deprecated" not in line
    )
    assert done.returncode == 0, told[-2000:]
    assert [line for line in told.splitlines() if any(words in line for words in UNFIT)] == []
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Of a copy: building writes beside the sources. Unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    source = shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / "out").mkdir()
    with tarfile.open(build("sdist", source, folder / "out")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


def files(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_packaging_sdist_holds_the_whole_project(sdist):
    """Tests, documentation and measurements too, so that whoever packages it can run them."""
    tracked = files(sdist.parents[1] / "source")
    made = {name for name in tracked if ".egg-info/" in name or name.startswith("build/")}
    assert tracked - made - files(sdist) == set()


def container_context(folder, into):
    """What `.dockerignore` lets a container's build have of a folder."""
    into.mkdir()
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            source = folder / line[1:]
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, into / line[1:])
    return into


def test_packaging_wheel_of_the_sdist_holds_registry_weights_and_templates(sdist, tmp_path):
    """Built from what a container's build has of it, so that this is seen to be enough."""
    source, out = container_context(sdist, tmp_path / "source"), tmp_path / "out"
    out.mkdir()
    with zipfile.ZipFile(build("wheel", source, out)) as wheel:
        held = set(wheel.namelist())
        metadata = wheel.read(next(n for n in held if n.endswith("/METADATA"))).decode()
    expected = {
        f"{package}/{file.relative_to(ROOT / folder).as_posix()}"
        for folder, package in (("magdr_core", "magdr_core"), ("plugins", "magdr_plugins"))
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    named = {"magdr_core/data/registry.toml", "magdr_core/report/report.html", "magdr_core/py.typed"}
    assert named | {"magdr_plugins/weights/editing64.calibration.json"} <= expected
    assert expected == {name for name in held if ".dist-info/" not in name}
    assert "Author: The magdr authors" in metadata


def test_packaging_editable_installation_is_seen_by_what_reads_files_alone(sdist, tmp_path):
    """setuptools' own is a hook of the import system, which mypy, pyright and editors do not run."""
    with zipfile.ZipFile(build("editable", sdist, tmp_path)) as wheel:
        paths = [
            Path(line)
            for name in wheel.namelist()
            if name.endswith(".pth")
            for line in wheel.read(name).decode().splitlines()
            if not line.startswith("import")
        ]
        record = wheel.read(next(n for n in wheel.namelist() if n.endswith("/RECORD"))).decode()
        listed = {line.split(",")[0] for line in record.splitlines()}
        assert listed == set(wheel.namelist())
    assert paths == [sdist]
    assert (paths[0] / "magdr_core" / "py.typed").is_file()

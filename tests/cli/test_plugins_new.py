"""`magdr plugins new`: a package that works at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import unittest
from contextlib import suppress

import pytest

from magdr_core.components.specs import SPECS
from magdr_core.testing import conformance_checks
from magdr_core.testing.examples import EXAMPLES


def test_plugins_new_knows_every_kind():
    assert set(EXAMPLES) == set(SPECS)


@pytest.mark.parametrize("kind", SPECS)
def test_plugins_new_package_holds_to_the_conformance_suite(magdr, tmp_path, monkeypatch, kind):
    package = f"acme-{kind.replace('_', '-')}"
    done = magdr("plugins", "new", package, "--kind", kind)
    assert done.code == 0, done.err
    assert f"{package}/ holds {kind} {package}/" in done.out
    folder = tmp_path / package
    assert {p.name for p in folder.iterdir()} == {"pyproject.toml", "README.md", f"acme_{kind}.py", "tests"}
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["magdr"] == {package: f"acme_{kind}"}
    checks = conformance_checks(folder / f"acme_{kind}.py")
    assert {check.component.split()[0] for check in checks} == {kind}
    for check in checks:
        with suppress(unittest.SkipTest):
            check()
    (name,) = {check.component.split("/")[1] for check in checks}
    assert f"{package}/{name}" in done.out
    assert f"{package}/{name}" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("Acme", "metric", "use lower-case letters"),
        ("../acme", "metric", "use lower-case letters"),
        ("9lives", "metric", "use lower-case letters"),
        ("acme", "metrik", "no kind 'metrik'; did you mean 'metric'?"),
        ("builtin", "metric", "a plugin 'builtin' is installed already"),
        ("json", "metric", "Python has a module 'json' already"),
        ("torch", "metric", "Python has a module 'torch' already"),
        ("class", "metric", "Python has a module 'class' already"),
        ("magdr", "metric", "a package 'magdr' is installed, which this would replace"),
        ("pillow", "metric", "a package 'pillow' is installed, which this would replace"),
    ],
)
def test_plugins_new_refuses(magdr, tmp_path, name, kind, words):
    done = magdr("plugins", "new", name, "--kind", kind)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_plugins_new_leaves_a_folder_that_is_there_alone(magdr, tmp_path):
    (tmp_path / "acme").mkdir()
    done = magdr("plugins", "new", "acme", "--kind", "defense")
    assert done.code == 2
    assert "acme exists already" in done.err
    assert list((tmp_path / "acme").iterdir()) == []


@pytest.mark.slow
def test_plugins_new_package_installs_is_listed_and_passes(tmp_path):
    """As a third party does it: pip, then the commands, with the package beside magdr."""

    def run(*command, code=0):
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *path]),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env, timeout=600)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    cli = [sys.executable, "-m", "magdr_core.cli", "plugins"]
    run(*cli, "new", "acme", "--kind", "restoration")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--target", "site", "./acme")
    assert "acme/median" in run(*cli, "list", "--kind", "restoration")
    shown = run(*cli, "show", "acme/median")
    assert "radius: int >= 1, <= 5; default 1" in shown
    assert "acme (acme 0.1.0)" in shown
    assert "site/acme.py" in shown
    assert ", 0 findings" in run(*cli, "check", "acme")
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "acme/tests")

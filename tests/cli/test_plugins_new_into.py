"""`magdr plugins new --into`: one more component in a package; `--fit`: one that learns."""

from __future__ import annotations

import tomllib

import pytest

from magdr_core.testing import conformance_checks
from magdr_core.testing.examples import EXAMPLES
from magdr_core.testing.learning_examples import LEARNING_EXAMPLES
from tests.edits import edited

FOLDERS = """\
[project]
name = "acme"
version = "1.0"

[project.entry-points.magdr]
acme = "acme"

[tool.setuptools]
packages = ["acme", "acme.metrics"]
"""


@pytest.fixture
def folders(tmp_path):
    """A package with a folder by kind, below `src`, whose packages are listed."""
    project = tmp_path / "project"
    (project / "src" / "acme" / "metrics").mkdir(parents=True)
    for place in ("", "metrics/"):
        (project / "src" / "acme" / place / "__init__.py").write_text("")
    (project / "src" / "acme" / "metrics" / "chroma.py").write_text(EXAMPLES["metric"])
    (project / "pyproject.toml").write_text(FOLDERS)
    return project


def texts(folder):
    return {f.relative_to(folder).as_posix(): f.read_text() for f in folder.rglob("*") if f.is_file()}


def test_new_into_makes_a_package_of_a_module_and_both_components_hold(magdr, tmp_path):
    assert magdr("plugins", "new", "acme", "--kind", "restoration").code == 0
    before = (tmp_path / "acme" / "acme.py").read_text()
    done = magdr("plugins", "new", "odd-detail", "--kind", "detector", "--fit", "--into", "acme")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "acme/acme/detectors/odd_detail.py holds detector acme/odd-detail",
        "acme/acme.py is acme/acme/__init__.py now",
        "next:",
        "  pip install -e acme && magdr plugins check acme",
    ]
    package = tmp_path / "acme" / "acme"
    assert (package / "__init__.py").read_text() == before
    assert not (tmp_path / "acme" / "acme.py").exists()
    assert (
        'DetectorSpec(name="odd-detail", build=Unusual' in (package / "detectors/odd_detail.py").read_text()
    )
    project = tomllib.loads((tmp_path / "acme" / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"] == {"packages": ["acme", "acme.detectors"]}
    done = magdr("plugins", "check", "acme", "--json")
    assert done.code == 0, done.out
    assert sorted(done.document["components"]) == ["detector acme/odd-detail", "restoration acme/median"]
    assert done.document["findings"] == []
    # A second one goes into the folder that is there, and setuptools knows its package.
    done = magdr("plugins", "new", "unstable", "--kind", "detector", "--into", "acme")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "  magdr plugins check acme"
    assert tomllib.loads((tmp_path / "acme" / "pyproject.toml").read_text()) == project


def test_new_into_adds_a_folder_and_its_package_to_the_list(magdr, folders):
    before = texts(folders)
    done = magdr("plugins", "new", "sharper", "--kind", "defense", "--into", folders)
    assert done.code == 0, done.err
    after = texts(folders)
    assert set(after) - set(before) == {f"src/acme/defenses/{name}.py" for name in ("__init__", "sharper")}
    listed = '["acme.defenses", "acme", "acme.metrics"]'
    assert after["pyproject.toml"] == edited(FOLDERS, ('["acme", "acme.metrics"]', listed))
    assert {name: text for name, text in after.items() if name in before and name != "pyproject.toml"} == {
        name: text for name, text in before.items() if name != "pyproject.toml"
    }


def test_new_into_leaves_a_project_alone_whose_packages_are_found(magdr, folders):
    text = edited(FOLDERS, ("packages = [", "packages.find = { where = ['src'] } # ["))
    (folders / "pyproject.toml").write_text(text)
    assert magdr("plugins", "new", "sharper", "--kind", "defense", "--into", folders).code == 0
    assert (folders / "pyproject.toml").read_text() == text


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("Odd", "metric", "use lower-case letters"),
        ("../odd", "metric", "use lower-case letters"),
        ("odd", "metrik", "no kind 'metrik'; did you mean 'metric'?"),
        ("chroma", "defense", "chroma.py: has a component 'chroma' already"),
    ],
)
def test_new_into_refuses(magdr, folders, name, kind, words):
    before = texts(folders)
    done = magdr("plugins", "new", name, "--kind", kind, "--into", folders)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert texts(folders) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('acme = "acme"\n', "", "has 0 entry points in [project.entry-points.magdr], needs one"),
        ('acme = "acme"\n', 'acme = "acmee"\n', "names the module 'acmee', which is not in"),
        ('["acme", "acme.metrics"]', '["acme", "acme.metrics"', "cannot be read"),
        ("packages = [", "'packages' = [", "'acme.defenses' cannot be added to what [tool.setuptools] lists"),
    ],
)
def test_new_into_says_what_is_wrong_with_a_project(magdr, folders, old, new, words):
    (folders / "pyproject.toml").write_text(edited(FOLDERS, (old, new)))
    before = texts(folders)
    done = magdr("plugins", "new", "sharper", "--kind", "defense", "--into", folders)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert texts(folders) == before


def test_new_into_a_module_of_another_builder_says_what_to_do_first(magdr, tmp_path):
    assert magdr("plugins", "new", "acme", "--kind", "metric").code == 0
    file = tmp_path / "acme" / "pyproject.toml"
    file.write_text(edited(file.read_text(), ('[tool.setuptools]\npy-modules = ["acme"]\n', "")))
    before = texts(tmp_path)
    done = magdr("plugins", "new", "sharper", "--kind", "defense", "--into", "acme")
    assert done.code == 2
    assert "make it a package acme/ with that module as its __init__.py first" in done.err
    assert texts(tmp_path) == before


def test_new_into_nowhere_and_over_a_file(magdr, folders):
    done = magdr("plugins", "new", "sharper", "--kind", "defense", "--into", "nowhere")
    assert done.code == 2
    assert "nowhere: holds no pyproject.toml" in done.err
    (folders / "src" / "acme" / "metrics" / "sharper.py").write_text("mine")
    done = magdr("plugins", "new", "sharper", "--kind", "metric", "--into", folders)
    assert done.code == 2
    assert "sharper.py exists already" in done.err
    assert (folders / "src" / "acme" / "metrics" / "sharper.py").read_text() == "mine"


def test_new_fit_writes_a_package_whose_component_learns(magdr, tmp_path):
    done = magdr("plugins", "new", "acme", "--kind", "detector", "--fit")
    assert done.code == 0, done.err
    assert "acme/ holds detector acme/unusual" in done.out
    assert (tmp_path / "acme" / "acme.py").read_text() == LEARNING_EXAMPLES["detector"]
    checks = {check.rule: check for check in conformance_checks(tmp_path / "acme" / "acme.py")}
    assert {"fit", "state"} <= set(checks), "it has both"
    for rule in ("fit", "output", "state", "gradient"):
        checks[rule]()


def test_new_fit_is_for_kinds_that_learn(magdr, tmp_path):
    done = magdr("plugins", "new", "acme", "--kind", "metric", "--fit")
    assert done.code == 2
    assert "the kind 'metric' brings no example of a component that learns" in done.err
    assert list(tmp_path.iterdir()) == []

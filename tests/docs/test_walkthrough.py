"""The walk-through types what the README says, and fails where a command does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def walkthrough():
    spec = importlib.util.spec_from_file_location("walkthrough", ROOT / ".ci" / "walkthrough.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def typed(walkthrough, tmp_path, monkeypatch):
    """The lines that are typed, none of which runs; each is answered with what makes the walk go on."""
    lines, walk = [], walkthrough.Walk(tmp_path)

    def answer(line, **_):
        lines.append(line)
        if line.startswith("magdr demo"):
            (tmp_path / "magdr-demo").mkdir()
            (tmp_path / "magdr-demo" / "demo.html").touch()
            return "magdr noticed the change"
        if line.startswith("magdr bench"):
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "results.csv").write_text(
                "component,attack,metric,value\nacme-median,pgd,mse_o,12\n", encoding="utf-8"
            )
            return "acme-median 12"
        return "me.png: not disrupted"

    monkeypatch.setattr(walk, "run", answer)
    monkeypatch.setattr(walkthrough.shutil, "copytree", lambda source, target, **_: target.mkdir())
    walkthrough.to_a_verdict(walk)
    walkthrough.to_a_row(walk)
    return lines


def test_the_walk_is_the_one_of_the_readme(typed, tmp_path):
    assert typed[1:3] == ["pip install .", "magdr demo"]
    assert typed[-3:] == [
        "magdr plugins check acme_median.py",
        "magdr registry check",
        "magdr bench --profile mine --limit 2 --out run",
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in (typed[1], f"{typed[2]} --open", typed[-3], "magdr bench --profile mine"):
        assert line in readme
    assert "def magdr_restorations" in (tmp_path / "acme_median.py").read_text(encoding="utf-8")
    assert "[profile.mine]" in (tmp_path / "registry.toml").read_text(encoding="utf-8")


def test_a_command_that_fails_ends_the_walk_with_what_it_said(walkthrough, tmp_path):
    walk = walkthrough.Walk(tmp_path)
    assert walk.run("sh -c 'echo well'") == "well\n"
    with pytest.raises(SystemExit, match=r"failed with 3: .*\n.*\nwrong") as told:
        walk.run("sh -c 'echo wrong >&2; exit 3'")
    assert "wrong" in str(told.value)
    assert walk.typed == 2
    assert walk.spent > 0


def test_ci_takes_the_walk():
    assert "job .venv/bin/python .ci/walkthrough.py" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")

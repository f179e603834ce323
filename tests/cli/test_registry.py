"""`magdr init` writes what runs; `magdr registry` shows what runs and finds what does not."""

import tomllib
from pathlib import Path

import pytest

from magdr_core.registry import packaged_registry
from tests.edits import edited


def test_init_writes_a_registry_that_runs(magdr):
    done = magdr("init", "new")
    assert (done.code, done.err) == (0, "")
    path = Path("new/registry.toml")
    commands = [line.split() for line in done.out.splitlines()[1:]]
    assert commands == [["magdr", "registry", "check", str(path)], ["magdr", "bench", str(path)]]
    assert magdr(*commands[0][1:]).code == 0
    text = path.read_text()
    numbers = ("fit = 24", "fit = 12"), ("clean = 100", "clean = 20"), ("attacked = 12", "attacked = 4")
    path.write_text(edited(text, *numbers, ("steps = 10", "steps = 2")))
    ran = magdr(*commands[1][1:], "--limit", "1", "--out", "run")
    assert ran.code == 0, ran.err
    assert "0 failed" in ran.out
    assert (Path("run") / "report.html").is_file()


def test_init_explains_every_table_and_says_what_to_change_first(magdr):
    magdr("init", "new")
    lines = Path("new/registry.toml").read_text().splitlines()
    headers = [i for i, line in enumerate(lines) if line.startswith("[")]
    assert len(headers) >= 6
    assert all(lines[i - 1].startswith("# ") and lines[i - 2] == "" for i in headers)
    assert "Change first" in lines[0]
    assert len(lines) < 60


def test_init_leaves_a_registry_alone(magdr):
    Path("registry.toml").write_text("mine")
    done = magdr("init")
    assert done.code == 2
    assert done.err == "magdr: registry.toml is there already, and stays as it is; name another folder\n"
    assert Path("registry.toml").read_text() == "mine"


def test_show_prints_a_registry_that_is_the_resolved_one(magdr):
    Path("mine.toml").write_text(
        '[registry]\ninclude = "builtin:faces64"\n'
        '[attack.pgd]\nparams = { steps = 3 }\n[attack.new]\nuse = "pgd"\n'
    )
    shown = magdr("registry", "show", "mine.toml").out
    assert "# from mine.toml\n[attack.pgd]\nparams = { steps = 3 }\n" in shown
    assert "# from builtin:faces64\n[attack.pgd-4]\n" in shown
    expected = tomllib.loads(packaged_registry().read_text())
    expected["registry"] = {}
    expected["attack"] |= {"pgd": {"params": {"steps": 3}}, "new": {"use": "pgd"}}
    assert tomllib.loads(shown) == expected
    Path("shown.toml").write_text(shown)
    assert magdr("registry", "check", "shown.toml").code == 0


def test_show_prints_the_defaults_as_comments(magdr):
    Path("mine.toml").write_text('[generator.g]\nuse = "stargan"\n[magdr]\ncriteria = ["l1"]\n')
    shown = magdr("registry", "show", "mine.toml").out
    assert '# parser = "unet"\n' in shown
    assert "# criteria" not in shown
    assert "layers" not in tomllib.loads(shown)["magdr"], "else an oracle would stand in its tables"


def test_show_without_a_file_shows_the_packaged_registry(magdr):
    assert tomllib.loads(magdr("registry", "show").out) == tomllib.loads(packaged_registry().read_text())


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("[attack.x]\nuse = 'pdg'", "mine.toml [attack.x]: no attack named 'pdg'; did you mean 'pgd'?"),
        (
            "[profile.p]\nattacks = ['pdg']",
            "mine.toml [profile.p] attacks: no attack named 'pdg'; did you mean 'pgd'?",
        ),
        (
            "[calibration]\nattacks = ['pdg']",
            "mine.toml [calibration] attacks: no attack named 'pdg'; did you mean 'pgd'?",
        ),
        (
            "[magdr]\nlayer = [['nlm']]",
            "mine.toml [magdr]: this table has no key 'layer'; did you mean 'lay",
        ),
        ("[magdr]\ncriteria = ['l9']", "mine.toml detector 'magdr': no metric named 'l9'"),
        (
            "[generator.g]\nuse = 'stargan'\nparams = { weights = 'no.safetensors' }",
            "mine.toml [generator.g]: weight file 'no.safetensors' does not exist",
        ),
    ],
)
def test_check_finds_a_fault(magdr, tables, said):
    Path("mine.toml").write_text(tables)
    done = magdr("registry", "check", "mine.toml")
    assert done.code == 2
    (line,) = done.out.splitlines()
    assert line.startswith(said)


def test_check_prints_one_line_for_each_fault(magdr):
    Path("mine.toml").write_text(
        "[attack.x]\nuse = 'pdg'\n[attack.y]\nparams = { a = 1 }\n[profile.p]\nattacks = ['x', 'y', 'z']\n"
        "defenses = ['jpeg']\n[restoration.jpeg]\n[attack.fine]\nuse = 'pgd'\n"
    )
    done = magdr("registry", "check", "mine.toml")
    places = [line.partition(":")[0] for line in done.out.splitlines()]
    assert places == ["mine.toml [attack.x]", "mine.toml [attack.y]", "mine.toml [profile.p] attacks"]


def test_check_builds_no_network(magdr, monkeypatch):
    def built(*args, **options):
        raise AssertionError("built")

    monkeypatch.setattr("magdr_core.runtime.builder.Builder.build", built)
    done = magdr("registry", "check")
    assert (done.code, done.err) == (0, "")
    assert "no fault" in done.out

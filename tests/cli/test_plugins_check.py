"""`magdr plugins check`: findings by line, whatever the plugin does to its process.

Every check is a process that imports torch, so few of them try many things.
"""

from __future__ import annotations

import pytest

from tests.edits import edited
from tests.testing.hostile import CRASHING, EXITING, GOOD, HANGING

SEVERAL = """
class Bright(Shrink):
    def __call__(self, x):
        return x + 0.5


class Leaving(Shrink):
    def __call__(self, x):
        import sys
        sys.exit(0)


def dark(*, depth: float = -1.0):
    '''Needs a depth.'''
    if depth < 0:
        raise ValueError("no depth")
    return Shrink()


@hookimpl
def magdr_augmentations():
    from magdr_core.api import AugmentationSpec
    built = {"bright": lambda: Bright(), "dark": dark, "leaving": lambda: Leaving()}
    return [AugmentationSpec(name=name, build=build) for name, build in built.items()]
"""


def test_plugins_check_of_a_project_folder_without_findings(magdr):
    assert magdr("plugins", "new", "acme-median", "--kind", "restoration").code == 0
    done = magdr("plugins", "check", "acme-median", "--json")
    assert done.code == 0, done.out + done.err
    assert done.document["plugin"] == "acme-median"
    assert done.document["findings"] == []
    assert done.document["components"] == ["restoration acme-median/median"]
    assert done.document["checks"] > 10


def test_plugins_check_prints_a_line_per_finding(magdr, tmp_path):
    """A local plugin of a registry, whose parameters are used; what it prints is not taken for results."""
    (tmp_path / "source.py").write_text(GOOD + SEVERAL + "print('{}', flush=True)\n")
    (tmp_path / "mine.toml").write_text(
        '[plugins]\nlocal = { acme = "./source.py" }\n'
        '[augmentation.x]\nuse = "acme/dark"\nparams = { depth = 1.0 }\n'
    )
    done = magdr("plugins", "check", "acme", "--registry", "mine.toml")
    assert done.code == 1, done.err
    bright, leaving, summary = done.out.splitlines()
    assert bright.startswith("source.py: augmentation acme/bright [range] returns values in [0.")
    assert bright.endswith("expected [0, 1]")
    assert leaving == "source.py: augmentation acme/leaving [output] fails on 5x3x24x32: SystemExit: 0"
    assert summary.startswith("acme: 4 components, ")
    assert summary.endswith(" checks, 2 findings")


def test_plugins_check_attributes_what_ends_the_process_and_goes_on(magdr, tmp_path):
    """A folder of four plugin modules: three end or stop the process, one is sound."""
    package = tmp_path / "acme" / "acme_pkg" / "restorations"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    texts = {"crashing": CRASHING, "exiting": EXITING, "hanging": HANGING, "sound": GOOD}
    for name, text in texts.items():
        (package / f"{name}.py").write_text(edited(text, ('name="bad"', f'name="{name}"')))
    (tmp_path / "acme" / "pyproject.toml").write_text(
        '[project]\nname = "acme-dist"\nversion = "2.0"\n[project.entry-points.magdr]\nacme = "acme_pkg"\n'
    )
    done = magdr("plugins", "check", "acme", "--timeout", "5", "--json")
    assert done.code == 1, done.err
    found = {f["component"]: f for f in done.document["findings"]}
    assert {name: f["message"] for name, f in found.items()} == {
        "restoration acme/crashing": "ended the process by signal 11 (SIGSEGV)",
        "restoration acme/exiting": "ended the process with exit code 0",
        "restoration acme/hanging": "did not finish within 5 s",
    }
    for name, finding in found.items():
        assert finding["rule"] == "output"
        assert finding["plugin"] == f"acme.restorations.{name.rpartition('/')[2]}"
        assert finding["file"].endswith(f"{name.rpartition('/')[2]}.py")
    assert "restoration acme/sound" in done.document["components"]


def test_plugins_check_of_a_plugin_that_hangs_when_imported(magdr, tmp_path):
    (tmp_path / "acme.py").write_text("import time\ntime.sleep(1000)")
    done = magdr("plugins", "check", "acme.py", "--timeout", "1")
    assert done.code == 1
    assert done.out.splitlines()[0] == "acme.py: [loads] did not finish within 1 s"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("acme.py", "plugin file 'acme.py' does not exist"),
        ("bultin", "no plugin or component named 'bultin'; did you mean 'builtin'?"),
        ("restoration/median", "no plugin or component named"),
        ("empty", "holds no pyproject.toml"),
        ("other", "has 0 entry points in [project.entry-points.magdr], needs one"),
    ],
)
def test_plugins_check_of_nothing_is_wrong_usage(magdr, tmp_path, target, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyproject.toml").write_text('[project]\nname = "other"\n')
    done = magdr("plugins", "check", target)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_plugins_check_on_no_such_device_is_wrong_usage(magdr):
    done = magdr("plugins", "check", "builtin", "--device", "abacus")
    assert done.code == 2
    assert "device 'abacus' is not one of" in done.err

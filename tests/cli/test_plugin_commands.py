"""Commands that plugins bring: listed under the plugin's name, run, and no harm if they are broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from magdr_core.cli import cli
from magdr_core.hosting.commands import all_commands, core_commands
from tests.edits import edited

SHOUT = """
import click
import pluggy

MAGDR_API = 1
hookimpl = pluggy.HookimplMarker("magdr")

@click.command("shout", short_help="Say it loud.")
@click.argument("what")
def shout(what):
    click.echo(what.upper())

@hookimpl
def magdr_commands():
    return [shout]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """`site(acme_shout=text)`: installed distributions of one module each, called by it."""

    def make(**texts: str) -> None:
        for name, text in texts.items():
            file = place.joinpath(*name.split("__")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            root = name.partition("__")[0]
            info = place / f"{root}-1.0.dist-info"
            info.mkdir(exist_ok=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {root}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[magdr]\n{root} = {root}\n")
        made.update(name.partition("__")[0] for name in texts)

    place, made = tmp_path / "site", set[str]()
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    yield make
    for name in [n for n in sys.modules if n.partition(".")[0] in made]:
        del sys.modules[name]


def test_command_of_a_plugin_is_listed_under_its_name_and_runs(magdr, site):
    site(acme_shout=SHOUT)
    done = magdr("--help")
    assert done.code == 0
    assert "Commands of acme_shout:\n  shout  Say it loud." in done.out
    assert done.out.index("doctor") < done.out.index("shout"), "core's come first"
    assert magdr("shout", "hello").out == "HELLO\n"
    assert "did you mean 'shout'?" in magdr("shuot").err


def test_command_of_a_package_is_in_the_folder_commands(site):
    site(acme_pack____init__="", acme_pack__commands__shout=SHOUT, acme_pack__commands___help="1 / 0")
    found = all_commands()
    assert list(found.plugins) == ["acme_pack"]
    assert list(found.plugins["acme_pack"]) == ["shout"]
    assert found.faults == []


BROKEN = {
    "raises": ("MAGDR_API = 1", "1 / 0", "its commands cannot be had: ZeroDivisionError: division by zero"),
    "exits": ("MAGDR_API = 1", "import sys; sys.exit(3)", "cannot be had: SystemExit: 3"),
    "old": ("MAGDR_API = 1", "MAGDR_API = 0", "declares MAGDR_API = 0, this core speaks 1"),
    "no list": ("return [shout]", "return shout", "magdr_commands must return a list of click.Command"),
    "taken": ('"shout", short', '"bench", short', "command 'bench' is already provided by core.commands"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin_leaves_the_command_line_alone(magdr, site, case):
    old, new, words = BROKEN[case]
    site(acme_bad=edited(SHOUT, (old, new)), acme_shout=SHOUT)
    done = magdr("--help")
    assert done.code == 0
    assert "Commands of acme_shout" in done.out
    assert "Commands of acme_bad" not in done.out
    [line] = done.err.splitlines()
    assert line.startswith("magdr: plugin 'acme_bad' (acme_bad): ")
    assert words in line
    assert magdr("doctor", "--help").err == "", "whoever calls a command of core is not told"


def test_command_that_two_plugins_bring_names_both(site):
    site(acme_one=SHOUT, acme_two=SHOUT)
    found = all_commands()
    assert list(found.plugins) == ["acme_one"]
    [fault] = found.faults
    assert "'acme_two'" in fault
    assert "command 'shout' is already provided by acme_one" in fault


def test_plugin_without_commands_is_not_imported_for_them(magdr, site, tmp_path):
    site(acme_loud=f"open({str(tmp_path / 'mark')!r}, 'w')\nMAGDR_API = 1\n")
    assert magdr("--help").code == 0
    assert magdr("shuot").code == 2
    assert not (tmp_path / "mark").exists()


def test_plugin_is_not_imported_for_a_command_of_core_or_if_it_is_blocked(magdr, site, tmp_path, monkeypatch):
    site(acme_loud=f"open({str(tmp_path / 'mark')!r}, 'w')\n{SHOUT}")
    assert magdr("doctor", "--help").code == 0
    monkeypatch.setenv("MAGDR_BLOCK", "acme_*")
    assert "shout" not in magdr("--help").out
    assert magdr("shout", "x").code == 2
    assert not (tmp_path / "mark").exists()


def test_help_needs_no_torch_also_with_a_plugin_s_commands(site, tmp_path):
    site(acme_shout=SHOUT)
    code = (
        "import sys; from magdr_core.cli import cli; cli.main(['--help'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {code}"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "Commands of acme_shout" in done.stdout


def test_commands_of_core_are_modules_of_the_command_line():
    context = click.Context(cli)
    for name, command in core_commands().items():
        loaded = cli.get_command(context, name)
        assert loaded is not None
        assert loaded is not command, "a stand-in, until it is used"
        assert loaded.name == name

"""Bad input: one clear line on stderr, exit code 2, nothing written."""

import os
import subprocess
import sys

import pytest

from tests.bench.conftest import DEFENSES, SMALL
from tests.cli.conftest import Done
from tests.edits import edited

MISSING_PLUGIN = """
[plugins]
local = { acme = "./gone.py" }
[attack.x]
use = "acme/x"
"""
RANDOM = 'weights = "random", width = 8, blocks'


def process(folder, *arguments):
    """The command as a process of its own; the other tests call it in this one, which spares seconds each."""
    done = subprocess.run(
        [sys.executable, "-m", "magdr_core.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def refused(done, *expected):
    """The outcome is one line that says all of `expected`."""
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1, done.err
    for words in expected:
        assert words in done.err


@pytest.fixture
def refuse(magdr, tmp_path):
    """`magdr bench` with this registry must be refused with a line that says all of `expected`."""

    def check(text, *expected):
        (tmp_path / "bad.toml").write_text(text)
        there = sorted(p.name for p in tmp_path.rglob("*"))
        refused(magdr("bench", "bad.toml"), *expected)
        assert sorted(p.name for p in tmp_path.rglob("*")) == there

    return check


def test_a_missing_registry(tmp_path):
    refused(process(tmp_path, "bench", "bad.toml"), "bad.toml", "does not exist")
    assert not list(tmp_path.iterdir())


def test_the_package_is_the_command(tmp_path):
    """`python -m magdr_core`, where no script is on the path."""
    command = [sys.executable, "-m", "magdr_core", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: magdr [OPTIONS] COMMAND")


def test_a_registry_that_is_not_toml(refuse, tmp_path):
    refuse("[registry\nname = 3", "bad.toml", "not valid TOML")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[attack.pgd]", "[atack.pgd]", ["unknown table [atack]", "did you mean 'attack'?"]),
        ('attacks = ["pgd", "noise"]', 'attacks = ["pdg"]', ["no attack named 'pdg'", "did you mean 'pgd'?"]),
        ("steps = 2", "stepss = 2", ["[attack.pgd]", "no parameter 'stepss'", "did you mean 'steps'?"]),
        ("steps = 2", 'steps = "two"', ["[attack.pgd]", "'steps'", "'two'"]),
        ('eps = "6/255"', "eps = 3", ["[attack.pgd]", "'eps'", "3 is outside [0, 1]", "3/255"]),
        ('eps = "6/255"', 'eps = "six"', ["[attack.pgd]", "'six'"]),
        ('weights = "random", width = 8, blocks', 'weights = "gone.safetensors", width = 8, blocks',
         ["[generator.editing]", "gone.safetensors", "does not exist"]),
        ('weights = "random", width = 8, blocks', 'weights = "builtin:stargan-face64", width = 8, blocks',
         ["no built-in weights 'stargan-face64'", "did you mean 'stargan-faces64'?"]),
        ("samples = 5", "samples = 0", ["[profile.quick]", "samples"]),
        ("samples = 5", "sample = 5", ["[profile.quick]", "'sample'", "did you mean 'samples'?"]),
        ('criteria = ["l1"]', 'critera = ["l1"]', ["[magdr]", "'critera'", "did you mean 'criteria'?"]),
        ('layers = [["median"], ["jpeg"]]', 'layers = ["median"]', ["layers", "list of lists"]),
        ("[calibration]", MISSING_PLUGIN + "[calibration]", []),
    ],
)  # fmt: skip
def test_a_mistake_in_the_registry(refuse, tmp_path, old, new, expected):
    assert old in SMALL
    text = edited(SMALL, (old, new))
    if not expected:
        text = edited(text, ('attacks = ["pgd", "noise"]', 'attacks = ["x"]'))
        expected = ["acme", "gone.py", "does not exist"]
    refuse(text, *expected)


def test_a_truncated_weight_file(refuse, tmp_path):
    (tmp_path / "half.safetensors").write_bytes(b'\x40\x00\x00\x00\x00\x00\x00\x00{"a":')
    text = edited(SMALL, (RANDOM, edited(RANDOM, ("random", "half.safetensors"))))
    refuse(text, "half.safetensors", "damaged or truncated")


def test_a_plugin_of_another_api(magdr, tmp_path):
    (tmp_path / "old.py").write_text("MAGDR_API = 0\n")
    text = SMALL + '\n[plugins]\nlocal = { old = "./old.py" }\n[restoration.o]\nuse = "old/x"\n'
    text = edited(text, (DEFENSES, 'defenses = ["o"]'))
    (tmp_path / "small.toml").write_text(text)
    done = magdr("bench", "small.toml")
    assert done.code == 1, "its cells fail, the others are computed"
    told = " ".join(done.out.split())
    assert "old.py" in told
    assert "declares MAGDR_API = 0, this core speaks 1" in told
    assert "Traceback" not in done.out + done.err


def test_an_unknown_profile(magdr, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = magdr("bench", "small.toml", "--profile", "ful")
    assert done.code == 2
    assert "no profile 'ful'" in done.err


def test_a_device_that_is_not_here(magdr, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = magdr("bench", "small.toml", "--device", "gpu")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_an_unknown_command_is_corrected(magdr, tmp_path):
    done = magdr("benhc")
    assert done.code == 2
    assert "did you mean 'bench'?" in done.err


def test_a_run_folder_that_is_a_file(magdr, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "taken").write_text("")
    done = magdr("bench", "small.toml", "--out", "taken")
    assert done.code == 2
    assert "taken" in done.err


def test_report_of_a_folder_that_is_not_there(magdr, tmp_path):
    done = magdr("report", "gone")
    assert done.code == 2
    assert "gone: there is no such run folder" in done.err


def test_nothing_to_train_of_that_name(magdr, tmp_path):
    done = magdr("train", "stargan-faces65")
    assert done.code == 2
    assert "did you mean 'stargan-faces64'?" in done.err
    assert list(tmp_path.iterdir()) == []

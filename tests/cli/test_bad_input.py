"""Bad input: one clear line on stderr, exit code 2, nothing written."""

import os
import subprocess
import sys

import pytest

from tests.bench.conftest import DEFENSES, SMALL

MISSING_PLUGIN = """
[plugins]
local = { acme = "./gone.py" }
[attack.x]
use = "acme/x"
"""
RANDOM = 'weights = "random", width = 8, blocks'


def magdr(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "magdr_core.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )


def refuse(folder, text, *expected, before=()):
    """`magdr bench` with this registry must be refused with a line that says all of `expected`."""
    if text is not None:
        (folder / "bad.toml").write_text(text)
    there = sorted(p.name for p in folder.rglob("*"))
    done = magdr(folder, *before, "bench", "bad.toml")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for words in expected:
        assert words in done.stderr
    assert sorted(p.name for p in folder.rglob("*")) == there
    return done.stderr


def test_a_missing_registry(tmp_path):
    refuse(tmp_path, None, "bad.toml", "does not exist")


def test_a_registry_that_is_not_toml(tmp_path):
    refuse(tmp_path, "[registry\nname = 3", "bad.toml", "not valid TOML")


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
def test_a_mistake_in_the_registry(tmp_path, old, new, expected):
    assert old in SMALL
    text = SMALL.replace(old, new)
    if not expected:
        text = text.replace('attacks = ["pgd", "noise"]', 'attacks = ["x"]')
        expected = ["acme", "gone.py", "does not exist"]
    refuse(tmp_path, text, *expected)


def test_a_truncated_weight_file(tmp_path):
    (tmp_path / "half.safetensors").write_bytes(b'\x40\x00\x00\x00\x00\x00\x00\x00{"a":')
    text = SMALL.replace(RANDOM, RANDOM.replace("random", "half.safetensors"))
    refuse(tmp_path, text, "half.safetensors", "damaged or truncated")


def test_a_plugin_of_another_api(tmp_path):
    (tmp_path / "old.py").write_text("MAGDR_API = 0\n")
    text = SMALL + '\n[plugins]\nlocal = { old = "./old.py" }\n[restoration.o]\nuse = "old/x"\n'
    text = text.replace(DEFENSES, 'defenses = ["o"]')
    (tmp_path / "small.toml").write_text(text)
    done = magdr(tmp_path, "bench", "small.toml")
    assert done.returncode == 1, "its cells fail, the others are computed"
    told = " ".join(done.stdout.split())
    assert "old.py" in told
    assert "declares MAGDR_API = 0, this core speaks 1" in told
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unknown_profile(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = magdr(tmp_path, "bench", "small.toml", "--profile", "ful")
    assert done.returncode == 2
    assert "no profile 'ful'" in done.stderr


def test_a_device_that_is_not_here(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = magdr(tmp_path, "bench", "small.toml", "--device", "gpu")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_command_is_corrected(tmp_path):
    done = magdr(tmp_path, "benhc")
    assert done.returncode == 2
    assert "did you mean 'bench'?" in done.stderr


def test_a_run_folder_that_is_a_file(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "taken").write_text("")
    done = magdr(tmp_path, "bench", "small.toml", "--out", "taken")
    assert done.returncode == 2
    assert "taken" in done.stderr


def test_report_of_a_folder_that_is_not_there(tmp_path):
    done = magdr(tmp_path, "report", "gone")
    assert done.returncode == 2
    assert "no run folder 'gone'" in done.stderr


def test_nothing_to_train_of_that_name(tmp_path):
    done = magdr(tmp_path, "train", "stargan-faces65")
    assert done.returncode == 2
    assert "did you mean 'stargan-faces64'?" in done.stderr
    assert list(tmp_path.iterdir()) == []

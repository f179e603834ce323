"""What cannot be written, or does not fit into memory, ends in one line and exit code 1; old files stay."""

import errno
import os
import sys

import click
import pytest
import torch

import magdr_core.cli
from magdr_core.cli import main
from magdr_core.errors import WriteError
from magdr_core.files import disk as files
from magdr_core.report import build
from tests.compare.conftest import Folder, filled
from tests.report.conftest import FakeRun, full


@pytest.fixture
def full_disk(monkeypatch):
    """No file can be written from here on."""

    def fail(path, mode=0o666, exist_ok=True):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return lambda: monkeypatch.setattr(files.Path, "touch", fail)


def test_a_report_that_cannot_be_written_is_one_line_and_leaves_the_old_one(magdr, tmp_path, full_disk):
    full(FakeRun(tmp_path / "run")).write()
    assert magdr("report", "run").code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    full_disk()
    done = magdr("report", "run")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1] == (
        "magdr: run/report.html: cannot be written (No space left on device)"
    )
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_a_comparison_that_cannot_be_written_is_one_line(magdr, tmp_path, full_disk):
    for name in ("a", "b"):
        filled(Folder(tmp_path / name)).write()
    full_disk()
    done = magdr("compare", "a", "b")
    assert (done.code, done.out) == (1, "")
    assert "b/compare-to-a.html: cannot be written (No space left on device)" in done.err
    assert "name a file for the page with --out" in done.err


def test_faces_that_cannot_be_written_are_one_line_and_leave_the_old_ones(magdr, tmp_path, full_disk):
    (tmp_path / "faces.png").write_bytes(b"old")
    full_disk()
    done = magdr("faces", "faces.png", "--count", "1", "--size", "32")
    assert done.code == 1
    assert done.err == "magdr: faces.png: cannot be written (No space left on device)\n"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("faces.png", b"old")]


def test_a_folder_without_permission_is_said_before_anything_is_computed(magdr, tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    access = os.access

    def denied(path, *given, **named):  # root, who runs tests in containers, is denied nothing
        return os.path.basename(path) != "locked" and access(path, *given, **named)

    monkeypatch.setattr(os, "access", denied)
    done = magdr("faces", "locked/below/faces.png")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"magdr: {tmp_path}/locked: no permission to write there; name another folder\n"
    assert not any((tmp_path / "locked").iterdir())


def test_faces_are_written_in_the_format_of_the_name(magdr, tmp_path):
    for name, start in (("faces.png", b"\x89PNG"), ("faces.jpg", b"\xff\xd8"), ("faces", b"\x89PNG")):
        assert magdr("faces", name, "--count", "1", "--size", "32").code == 0
        assert (tmp_path / name).read_bytes().startswith(start)


SMALL = """
[registry]
name = "small"
device = "cpu"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }
[attack.pgd]
params = { eps = "6/255", steps = 1 }
[defense.identity]
[profile.quick]
samples = 1
attacks = ["pgd"]
detectors = []
defenses = []
pictures = 0
"""


def test_a_benchmark_without_its_report_ends_with_1(magdr, tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(SMALL)

    def fail(path, content):
        raise WriteError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(build, "write_atomically", fail)
    done = magdr("bench", "small.toml", "--out", "run")
    assert (done.code, done.err) == (1, "")
    assert "observer 'report' failed" in done.out
    assert "report.html: cannot be written (No space left on device)" in done.out
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert magdr("report", "run").code == 0


def test_a_benchmark_on_a_full_disk_ends_with_one_line(magdr, tmp_path, full_disk):
    (tmp_path / "small.toml").write_text(SMALL)
    full_disk()
    done = magdr("bench", "small.toml", "--out", "run")
    assert done.code == 1
    assert done.err == "magdr: run/manifest.json: cannot be written (No space left on device)\n"


def raising(error):
    @click.command("raising")
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EACCES, "Permission denied", "there"), "magdr: there: Permission denied"),
        (OSError("no reason"), "magdr: no reason"),
        (MemoryError(), "magdr: out of memory; what was finished is kept, the same command continues"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "magdr: out of memory;"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "magdr: out of memory;"),
    ],
)
def test_any_command_ends_in_one_line(monkeypatch, capsys, error, said):
    monkeypatch.setattr(magdr_core.cli._Commands, "get_command", lambda self, ctx, name: raising(error))
    monkeypatch.setattr(sys, "argv", ["magdr", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.err.startswith(said)


def test_a_fault_of_the_program_is_still_shown_whole(monkeypatch):
    monkeypatch.setattr(
        magdr_core.cli._Commands, "get_command", lambda self, ctx, name: raising(RuntimeError("wrong"))
    )
    monkeypatch.setattr(sys, "argv", ["magdr", "doctor"])
    with pytest.raises(RuntimeError, match="wrong"):
        main()

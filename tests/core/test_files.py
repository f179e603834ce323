"""Files are written whole or not at all, and only ordinary ones are read."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from magdr_core.errors import WriteError
from magdr_core.files import disk as files
from magdr_core.files.disk import Unreadable, read_regular, sweep, write_atomically
from tests.edits import edited


def write(path, content=b"new"):
    write_atomically(path, lambda p: p.write_bytes(content))


def test_a_file_is_replaced_as_a_whole(tmp_path):
    write(tmp_path / "deep" / "a", b"old")
    write(tmp_path / "deep" / "a")
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "deep").iterdir()] == [("a", b"new")]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    write(path, b"old")

    def full(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(WriteError) as error:
        write_atomically(path, full)
    assert str(error.value) == f"{path}: cannot be written (No space left on device)"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize("name", ["file/below", "folder", "n" * 300])
def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(WriteError, match="cannot be written") as error:
        write(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_the_longest_name_can_be_written(tmp_path):
    write(tmp_path / ("n" * 255))


def test_what_a_killed_process_left_is_swept_and_a_living_ones_stays(tmp_path):
    code = (
        "import os, sys, pathlib; from magdr_core.files.disk import write_atomically\n"
        "write_atomically(pathlib.Path(sys.argv[1]), lambda p: os._exit(9))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    (left,) = tmp_path.iterdir()
    living = tmp_path / edited(left.name, (left.name.split("-")[2], str(os.getpid())))
    living.write_text("being written")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [living]


def test_the_next_write_into_a_folder_sweeps_it(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".magdr-{files._place()}-{dead.pid}-00000000.tmp"
    left.write_text("half")
    write(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        (".magdr-ffffffff-1-00000000.tmp", 3600, True),  # of another machine that shares the folder
        (".magdr-ffffffff-1-00000000.tmp", 90_000, False),
        (".b7cb29b3638b9218.json.a_b1c2d3", 60, True),  # as versions before 0.2 called them
        (".b7cb29b3638b9218-worst-pictures.safetensors.a_b1c2d3", 1200, False),
        (".results.csv.a_b1c2d3", 1200, False),
        (".config.settings", 90_000, True),
        ("b7cb29b3638b9218.json", 90_000, True),
    ],
)
def test_old_partial_files_are_swept_and_nothing_else(tmp_path, name, age, stays):
    (tmp_path / name).write_text("half")
    os.utime(tmp_path / name, (time.time() - age,) * 2)
    sweep(tmp_path)
    assert (tmp_path / name).exists() is stays


def test_special_files_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "sparse").open("wb") as f:
        f.truncate(2**31)
    found = {p.name: read_regular(p, 1000) for p in tmp_path.iterdir()}
    assert {name: content.why for name, content in found.items()} == {
        "fifo": "is no ordinary file",
        "zero": "is no ordinary file",
        "folder": "is a folder",
        "loop": f"cannot be read ({os.strerror(errno.ELOOP)})",
        "sparse": "is larger than it can be (2,147,483,648 bytes)",
    }


def test_an_ordinary_file_is_read_and_a_missing_one_is_none(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert read_regular(tmp_path / "a", 100_000) == b"x" * 100_000
    assert read_regular(tmp_path / "b", 10) is None
    assert read_regular(tmp_path / "a" / "b", 10) is None


def test_a_hole_in_tensors_is_found_without_reading_it(tmp_path):
    import torch
    from safetensors.torch import save

    content = save({"images": torch.zeros(2, 3, 4, 4)})
    assert files.size_of_tensors(content, len(content)) == ""
    for head, size in ((content, 2**31), (content[:4], 4), (b"\0" * 100, 2**31), (b"{" * 100, 100)):
        assert files.size_of_tensors(head, size) == "is damaged"
    (tmp_path / "a.safetensors").write_bytes(content)
    os.truncate(tmp_path / "a.safetensors", 2**31)
    assert files.read_stored(tmp_path / "a.safetensors") == Unreadable("is damaged")

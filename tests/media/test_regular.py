"""Only regular files of a bounded size are read; nothing waits, and nothing without an end is begun."""

import os
import socket

import pytest

from magdr_core.errors import DataError
from magdr_core.media import read_picture, read_video
from magdr_core.media.regular_files import open_regular


def fifo(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def circle(path):
    path.symlink_to(path.name)


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.relpath(path))


SPECIAL = [
    (fifo, "it is a pipe, no regular file"),
    (endless, "it is a device, no regular file"),
    (circle, "symbolic links"),
    (bound_socket, "it is a socket, no regular file"),
    (lambda path: path.mkdir(), "it is a folder, no regular file"),
    (lambda path: path.write_bytes(b""), "is empty"),
    (lambda path: None, "does not exist"),
]


@pytest.mark.parametrize("read", [read_picture, read_video])
@pytest.mark.parametrize(("make", "expected"), SPECIAL)
@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path, monkeypatch, read, make, expected):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = tmp_path / ("m.mp4" if read is read_video else "m.png")
    make(path)
    with pytest.raises(DataError) as caught:
        read(path)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_declares_gigabytes_is_refused_unread(tmp_path):
    with open(tmp_path / "s.png", "wb") as file:
        file.truncate(2 * 10**9)
    with pytest.raises(DataError, match=r"s\.png: has 2000 MB, files of up to 400 MB are read"):
        read_picture(tmp_path / "s.png")


def test_a_name_that_no_file_can_have_is_a_line(tmp_path):
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(DataError, match=r"does not exist|cannot be read \("):
            open_regular(tmp_path / name, 10)


def test_a_regular_file_is_open_at_its_beginning(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with open_regular(tmp_path / "a", 3) as file:
        assert file.read() == b"abc"
    with pytest.raises(DataError, match="files of up to"):
        open_regular(tmp_path / "a", 2)

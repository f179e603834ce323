"""Text files and paths of the user's: bounded, decoded, and one line for everything else."""

from __future__ import annotations

import os
import threading

import pytest

from magdr_core.errors import DataError
from magdr_core.files import user_files as textfile
from magdr_core.files.user_files import LARGEST, parse_toml, read_json, read_text, text_lines, user_path


def fault(action, *args, **options):
    said = _said(action, *args, **options)
    assert said != "no error"
    assert said.isprintable()
    assert len(said) < 300
    return said


def test_text_has_no_mark_and_plain_line_ends(tmp_path):
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "t", error=DataError) == "a\nb\nc\n"
    assert list(text_lines(tmp_path / "t", error=DataError)) == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("action", [read_text, text_lines, read_json])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\nb\n\xe4\n", "is not UTF-8 text: byte 0xe4 at 4, line 3"),
        ("a\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (b"a\nb\0c", "is not a text: a NUL character in line 2"),
    ],
)
def test_text_that_is_none_is_named_with_its_place(tmp_path, action, content, said):
    (tmp_path / "t").write_bytes(content)
    message = fault(action, tmp_path / "t")
    assert str(tmp_path / "t") in message
    assert said in message


@pytest.mark.parametrize("action", [read_text, text_lines])
def test_text_is_only_read_from_files_of_a_bounded_size(tmp_path, action):
    os.mkfifo(tmp_path / "pipe")
    os.truncate(os.open(tmp_path / "sparse", os.O_CREAT | os.O_WRONLY), 2**40)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    results: list[str] = []
    for name, said in [
        ("pipe", "is a device, pipe or socket"),
        ("/dev/zero", "is a device, pipe or socket"),
        ("sparse", "has 1,099,511,627,776 bytes; at most "),
        (".", "is a folder; name the file in it"),
        ("loop", "cannot be read: Too many levels"),
        ("none", "does not exist"),
        ("n" * 5000, "cannot be read: File name too long"),
    ]:
        path = tmp_path / name
        thread = threading.Thread(target=lambda p=path: results.append(_said(action, p)), daemon=True)
        thread.start()
        thread.join(20)
        assert results, f"{name}: waits for ever"
        assert said in results.pop()


def _said(action, *args, **options):
    try:
        list(action(*args, error=DataError, **options))
    except DataError as e:
        return str(e)
    return "no error"


def test_text_lines_have_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "LINE", 100)
    (tmp_path / "t").write_text("a\n" + "b" * 101)
    assert "line 2 is longer than 100 bytes" in fault(text_lines, tmp_path / "t")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\xef\xbb\xbf \n<HTML>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)
def test_text_lines_of_what_a_download_left_are_refused(tmp_path, head, said):
    (tmp_path / "t").write_bytes(head)
    if b"\n<" in head:
        (tmp_path / "t").write_bytes(head.replace(b"\n", b""))
    assert said in fault(text_lines, tmp_path / "t")


TREES = {
    "x: is a whole number beyond 64 bits": f"x = {LARGEST + 1}",
    "t.x.1: is a whole number beyond 64 bits": f"[t]\nx = [1, -{2**64}]",
    "h: is a whole number beyond 64 bits": "h = 0x" + "f" * 6000,
    "is not valid TOML: Exceeds the limit": "x = " + "9" * 5000,
    "x: is nan": "x = nan",
    "x: holds a NUL character": 'x = "a\\u0000b"',
    "is a key with a NUL character": '"a\\u0000b" = 1',
    "is nested too deeply": "x = " + "[" * 5000,
    "is nested too deeply: more than": ".".join("a" * 30) + " = 1",
}


@pytest.mark.parametrize("said", TREES)
def test_toml_that_cannot_be_handled_is_named_with_its_key(said):
    assert said in fault(parse_toml, TREES[said], subject="t.toml:")


def test_toml_takes_the_whole_range_of_its_numbers():
    found = parse_toml(f"a = {LARGEST}\nb = -{LARGEST}\nc = inf\nd = 1e308", error=DataError, subject="t:")
    assert list(found.values()) == [LARGEST, -LARGEST, float("inf"), 1e308]


def test_json_that_cannot_be_handled_is_named(tmp_path):
    for content, said in [
        ("[" * 10**5, "is nested too deeply"),
        ("{", "is not valid JSON"),
        ("[NaN]", "is nan"),
    ]:
        (tmp_path / "t.json").write_text(content)
        assert said in fault(read_json, tmp_path / "t.json")
    (tmp_path / "t.json").write_text("[1]")
    assert read_json(tmp_path / "t.json", error=DataError) == [1]


def test_paths_that_are_none_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "here")
    assert user_path("$PLACE/x", tmp_path, error=DataError) == tmp_path / "here" / "x"
    for text, said in [
        ("~nobody-of-that-name/x", "there is no such home folder"),
        ("a\0b", "cannot be used"),
        ("a" * 5000, "cannot be used: File name too long"),
    ]:
        with pytest.raises(DataError, match=said) as e:
            user_path(text, tmp_path, error=DataError, what="weight file")
        assert str(e.value).startswith("weight file ")
        assert len(str(e.value)) < 250

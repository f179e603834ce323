"""Names that become files and folders."""

from __future__ import annotations

import pytest

from magdr_core.files.names import LONGEST, unsafe

GOOD = ["faces", "Faces 64 px", "Gesichter-ä", "a.b_c-d", "[x]", "é" * (LONGEST // 2)]
BAD = [
    "",
    ".",
    "..",
    "../x",
    "/x",
    "a/b",
    "a\\b",
    "c:x",
    "a\0b",
    "a\x1b[31m",
    "a\nb",
    "\u202eb",
    " a",
    "a ",
    "a.",
]
BAD += ["<b>", "*", "é" * LONGEST, "\ud800"]


@pytest.mark.parametrize("name", GOOD)
def test_names_that_are_one_component_of_a_path_are_safe(name, tmp_path):
    assert unsafe(name) == ""
    (tmp_path / name).mkdir()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_not_are_told_why(name):
    assert unsafe(name)

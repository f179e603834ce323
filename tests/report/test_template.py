"""Every page of the package has one and the same head."""

from __future__ import annotations

from importlib.resources import files

import pytest

from magdr_core.report.template import rendered, source

PAGES = [
    ("magdr_core.report", "report.html"),
    ("magdr_core.report", "compare.html"),
    ("magdr_core.report", "demonstration.html"),
    ("magdr_core.adapt", "page.html"),
    ("magdr_core.leaderboard", "board.html"),
]


@pytest.mark.parametrize(("package", "name"), PAGES, ids=[name for _, name in PAGES])
def test_pages_extend_the_base_and_have_no_head_of_their_own(package, name):
    text = source(name, package)
    assert '{% extends "base.html" %}' in text
    assert "<head" not in text
    assert "<body" not in text


def test_the_base_is_the_only_template_with_a_head():
    found = [
        (package, file.name)
        for package in dict.fromkeys(package for package, _ in PAGES)
        for file in files(package).iterdir()
        if file.name.endswith(".html") and "<head>" in file.read_text(encoding="utf-8")
    ]
    assert found == [("magdr_core.report", "base.html")]


def test_a_page_without_a_script_allows_none():
    page = rendered("board.html", package="magdr_core.leaderboard", boards=[], metrics={})
    assert "script-src" not in page
    assert "<script" not in page
    with_script = rendered("board.html", package="magdr_core.leaderboard", boards=[], metrics={}, js="1")
    assert "script-src 'unsafe-inline'" in with_script

"""The documentation site: what its check finds in what was built, and how its sidebar is made."""

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def module(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    try:
        spec.loader.exec_module(found)
    finally:
        del sys.modules[name]
    return found


@pytest.fixture(scope="module")
def site():
    return module("build_site")


@pytest.fixture
def built(tmp_path):
    """Two pages that lead to each other, a picture and a sheet: nothing is wrong with them."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "index.html").write_text('<a href="pages/a.html#part">A</a><img src="dot.png">')
    (tmp_path / "pages" / "a.html").write_text(
        '<link rel="stylesheet" href="../look.css"><h2 id="part">Part</h2><a href="../index.html">back</a>'
        '<a href="https://example.org/">elsewhere</a><link rel="canonical" href="https://example.org/a">'
    )
    (tmp_path / "dot.png").write_bytes(b"")
    (tmp_path / "look.css").write_text("body { background: url(dot.png) }")
    return tmp_path


def test_a_site_without_faults_has_none(site, built):
    assert list(site.faults(built)) == []


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        pytest.param('<a href="gone.html">x</a>', "pages/a.html: gone.html leads nowhere", id="no such page"),
        pytest.param(
            '<a href="#gone">x</a>', "pages/a.html: #gone: no such anchor", id="no such anchor on the page"
        ),
        pytest.param(
            '<a href="../index.html#gone">x</a>',
            "pages/a.html: ../index.html#gone: no such anchor",
            id="no such anchor elsewhere",
        ),
        pytest.param('<img src="gone.png">', "pages/a.html: gone.png leads nowhere", id="no such picture"),
        pytest.param(
            '<script src="https://cdn.example/x.js"></script>',
            "pages/a.html: needs https://cdn.example/x.js from elsewhere",
            id="a script from elsewhere",
        ),
        pytest.param(
            '<link rel="preconnect" href="//fonts.example">',
            "pages/a.html: needs //fonts.example from elsewhere",
            id="a font's host",
        ),
        pytest.param(
            '<p style="background: url(https://x.example/a.png)">',
            "pages/a.html: needs https://x.example/a.png from elsewhere",
            id="a style's picture",
        ),
    ],
)
def test_a_fault_of_a_page_is_found(site, built, added, fault):
    page = built / "pages" / "a.html"
    page.write_text(page.read_text() + added)
    assert list(site.faults(built)) == [fault]


def test_a_font_that_a_sheet_imports_is_found(site, built):
    (built / "look.css").write_text('@import "https://fonts.example/f.css";')
    assert list(site.faults(built)) == ["look.css: needs https://fonts.example/f.css from elsewhere"]


def test_a_page_that_nothing_leads_to_is_found(site, built):
    (built / "pages" / "lost.html").write_text('<a href="lost.html#here" id="here">itself</a>')
    assert list(site.faults(built)) == ["pages/lost.html: nothing leads there"]


def test_the_sidebar_is_made_from_the_lists_of_the_index():
    pytest.importorskip("sphinx")
    made = module("conf").sidebar(
        "# Title\n\nStart here:\n\n- [One](one.md): first, and\n  [two](kinds/two.md).\n"
        "- [Book](book.ipynb)\n\n"
        "Some words with [a link](words.md).\n\nLater:\n\n- [Three](three.md), [script](../run.py)\n"
    )
    tables = [t for t in made.split("```{toctree}\n") if t.strip()]
    assert len(tables) == 2
    assert ":caption: Start here\n" in tables[0]
    assert tables[0].split("\n\n")[1].split("\n```")[0].split() == ["one", "kinds/two", "book"]
    assert tables[1].split("\n\n")[1].split("\n```")[0].split() == ["three"]

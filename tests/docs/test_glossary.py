"""The glossary: whatever a page links to is there, and whatever tables and the terminal say is explained."""

import re
from pathlib import Path
from typing import get_args

import pytest

from magdr_core.components.specs import SPECS
from magdr_core.results.checked import Badge
from tests.docs.test_docs import anchors

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
ENTRIES = dict(re.findall(r"^#### (.+)\n((?:[^#\n].*\n)+)", GLOSSARY.read_text(encoding="utf-8"), re.M))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]

ASKED = {
    *("oblivious", "adaptive", "badge", "verified", "kept", "output mse", "twin", "second opinion"),
    *("rec-net", "f_k", "threshold", "gate", "purifier", "spread", "n", "interval", "bca", "cell", "profile"),
    *(
        "guess",
        "transfer",
        "false alarm",
        "operating point",
        "oracle",
        "undefended",
        "suite",
        "target region",
    ),
}


def links():
    """(page, anchor) of every link to a term."""
    for page in PAGES:
        for anchor in re.findall(r"\]\([^)]*glossary\.md#([^)]+)\)", page.read_text(encoding="utf-8")):
            yield page.name, anchor
    for anchor in re.findall(r"\]\(#([^)]+)\)", GLOSSARY.read_text(encoding="utf-8")):
        yield GLOSSARY.name, anchor


def test_every_term_that_a_page_links_to_is_there():
    there, linked = anchors(GLOSSARY), list(links())
    assert len(linked) > 12
    assert [(page, anchor) for page, anchor in linked if anchor not in there] == []


@pytest.mark.parametrize("page", ["README.md", "docs/README.md"])
def test_the_first_pages_lead_to_it(page):
    assert "glossary.md)" in (ROOT / page).read_text(encoding="utf-8")


def test_words_of_tables_and_the_terminal_have_an_entry():
    terms = {term.lower() for term in ENTRIES}
    assert len(terms) == len(ENTRIES) > 60
    assert ASKED - terms == set()
    assert set(get_args(Badge)) - terms == set()
    named = {"detector", "defense", "attack", "generator", "restoration", "forgery"}
    assert named <= terms & set(SPECS)


@pytest.mark.parametrize("term", ENTRIES)
def test_an_entry_is_a_few_plain_sentences(term):
    text = " ".join(ENTRIES[term].split())
    sentences = re.findall(r"[.!?](?:\s|$)", re.sub(r"\]\([^)]*\)", "]", text))
    assert 1 <= len(sentences) <= 3, text
    assert len(text.split()) <= 60, text

"""Text that is shown: nothing hidden, nothing obeyed, nothing visible changed."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from magdr_core.errors import DataError, one_line
from magdr_core.printable import visible

HIDDEN = {
    "escape": ("\x1b[31m", "\\x1b[31m"),
    "bell": ("\a", "\\x07"),
    "return": ("\r", "\\r"),
    "line break": ("\n", "\\n"),
    "delete": ("\x7f", "\\x7f"),
    "C1": ("\x9b31m", "\\x9b31m"),
    "right to left": ("\u202e", "\\u202e"),
    "isolate": ("\u2066", "\\u2066"),
    "mark": ("\u200f", "\\u200f"),
    "zero width": ("\u200b", "\\u200b"),
    "joiner": ("\u200d", "\\u200d"),
    "byte order mark": ("\ufeff", "\\ufeff"),
    "soft hyphen": ("\xad", "\\xad"),
    "line separator": ("\u2028", "\\u2028"),
    "filler": ("\u3164", "\\u3164"),
    "tag": ("\U000e0041", "\\U000e0041"),
    "undecoded byte": ("\udcff", "\\xff"),
    "lone surrogate": ("\ud800", "\\ud800"),
}


@pytest.mark.parametrize(("given", "shown"), HIDDEN.values(), ids=HIDDEN)
def test_visible_shows_what_is_hidden(given, shown):
    assert visible(f"a{given}b") == f"a{shown}b"


def test_visible_leaves_readable_text_alone():
    text = "naïve façade, 日本語, עברית, 👍, 100 % [red] \\x1b"
    assert visible(text) == text


def test_visible_twice_is_visible_once():
    once = visible("".join(given for given, _ in HIDDEN.values()))
    assert visible(once) == once


def test_visible_keeps_the_breaks_of_lines_that_are_meant():
    assert visible("a\n\tb\r\x1b\n", lines=True) == "a\n\tb\\r\\x1b\n"


def test_visible_knows_every_character_of_these_categories():
    every = map(chr, range(sys.maxunicode + 1))
    hidden = [c for c in every if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert [hex(ord(c)) for c in hidden if visible(c) == c] == []


def test_one_line_is_visible_with_its_notes():
    error = DataError("a\x1b[31m\ud800")
    error.add_note("plugin \u202eevil")
    assert one_line(error) == "a\\x1b[31m\\ud800 [plugin \\u202eevil]"

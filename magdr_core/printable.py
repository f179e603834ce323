"""Text from elsewhere, made harmless to look at: names of files, messages of plugins, notes of registries.

A terminal obeys control characters (an escape sequence repaints the screen, a carriage return overwrites the
line), bidirectional ones reorder what is read, and zero-width ones hide differences. All of them are shown as
what they are, `\\x1b` or `\\u202e`, so that nothing is hidden and nothing is obeyed.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format (bidirectional, zero-width, tags), lone surrogates, line and paragraph separators."""

_BLANK_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Letters and marks that are drawn as nothing, or as a space that is none."""

_UNDECODED = range(0xDC80, 0xDD00)
"""How Python keeps a byte of a file's name that is no UTF-8."""


_PLANES = ((0x0000, 0x20000), (0xE0000, 0xE1000))
"""Where Unicode has such characters; to look through all of it would take a tenth of a second."""


def _pattern() -> re.Pattern[str]:
    """One character class of everything hidden, made of ranges so that it matches fast."""
    ranges: list[list[int]] = []
    for code in chain(*(range(*plane) for plane in _PLANES)):
        if unicodedata.category(chr(code)) not in _HIDDEN_CATEGORIES:
            continue
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    spans = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    return re.compile(f"[{spans}{_BLANK_LETTERS}]")


_HIDDEN = _pattern()
_HIDDEN_IN_LINES = re.compile(f"(?![\\n\\t]){_HIDDEN.pattern}")


def visible(text: object, *, lines: bool = False) -> str:
    """`str(text)` with every character that a reader would not see, or a terminal would obey, as its escape.

    What is visible already stays as it is, so that doing it twice changes nothing more.

    Args:
        lines: keep line breaks and tabs: the text is one of several lines by intention. Otherwise the result
            is one line.
    """
    return (_HIDDEN_IN_LINES if lines else _HIDDEN).sub(_escape, str(text))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _UNDECODED:
        return f"\\x{code - 0xDC00:02x}"
    if found[0] in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[found[0]]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

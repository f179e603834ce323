"""Edits of texts in tests (registries, plugins, pages) that fail where the text is not as believed."""

from __future__ import annotations

from typing import AnyStr


def edited(text: AnyStr, *changes: tuple[AnyStr, AnyStr], first: bool = False) -> AnyStr:
    """`text` with each `(old, new)` of the changes replaced, one after the other.

    `str.replace` returns the text as it was where nothing matches; the test would go on, and pass, with a
    registry that it did not mean.

    Args:
        first: only the first place of each.

    Raises:
        AssertionError: an `old` is not there.
    """
    for old, new in changes:
        assert old in text, f"{old!r} is not in the text:\n{text!r}"
        text = text.replace(old, new, 1 if first else -1)
    return text

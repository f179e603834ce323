"""Edits of texts in tests (registries, plugins, pages) that fail where the text is not as believed."""

from __future__ import annotations


def edited(text: str, old: str, new: str, *, times: int = 1) -> str:
    """`text` with `old` replaced by `new` everywhere.

    `str.replace` returns the text as it was where nothing matches; the test would go on, and pass, with a
    registry that it did not mean.

    Args:
        times: how often `old` must stand in the text.

    Raises:
        AssertionError: it does not.
    """
    found = text.count(old)
    assert found == times, f"{old!r} stands {found} times in the text, not {times}:\n{text}"
    return text.replace(old, new)

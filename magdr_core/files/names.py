"""Names that become files and folders: one component of a path, the same on every system."""

from __future__ import annotations

LONGEST = 100
"""Bytes; several names make one file name, of which systems allow 255."""

_SPECIAL = frozenset('/\\:*?"<>|')


def unsafe(name: str) -> str:
    """Why a name cannot be part of a file name, as the end of a sentence; empty if it can.

    >>> unsafe("faces 64 px"), unsafe("../x")
    ('', "holds '/'")
    """
    if not name:
        return "is empty"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if not name.isprintable():
        return "holds a character that cannot be shown"
    special = next((c for c in name if c in _SPECIAL), "")
    if special:
        return f"holds {special!r}"
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "begins or ends with a blank or a dot"
    return ""

"""What a generator is asked for, in words."""

from __future__ import annotations

EDITS = ("Blond_Hair", "Eyeglasses", "Black_Hair", "Smiling")
"""What the editor is asked for: the first of these that any generator of the registry knows."""


def in_words(name: str, value: float) -> str:
    """A condition as people say it: `Blond_Hair` is blond hair, `AU12` stays."""
    words = name.replace("_", " ")
    return f"{'no ' * (not value)}{words if words.isupper() else words.lower()}"

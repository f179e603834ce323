"""Errors that say where the fault is and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from magdr_core.printable import visible


class MagdrError(Exception):
    """Base class: the message alone must be enough for a user, so the CLI prints it without a traceback.

    Attributes:
        attributed: whether it says already which component's fault it is.
    """

    attributed = False


class RegistryError(MagdrError):
    """A registry file that cannot be read, or that asks for something that does not exist."""


class PluginError(MagdrError):
    """A plugin that cannot be imported, registered or used; the message names the plugin and its file."""


class BrokenPluginError(PluginError):
    """A plugin that is there and cannot be loaded, or a component of it that cannot be built: its own fault,
    not the registry's."""


class ComponentError(MagdrError):
    """A component that broke its contract (shape, range, eps ball, ...) or failed while it ran."""


class WeightsError(MagdrError):
    """A weight file that is missing, damaged or does not fit the architecture."""


class DataError(MagdrError):
    """Input data that cannot be used."""


class CalibrationError(MagdrError):
    """A calibration that is missing, damaged or was made for another composition."""


def components_own(error: BaseException | None) -> bool:
    """Whether an error is a component's or its plugin's fault, and not that of the registry that names it."""
    while error is not None:
        if isinstance(error, BrokenPluginError | ComponentError):
            return True
        error = error.__cause__
    return False


def brief(value: object, most: int = 100) -> str:
    """`repr` of a value of the user's, cut to `most` characters: messages stay one readable line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists inside each other
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= most else f"{text[: most - 4]}...{text[-1]}"


class WriteError(MagdrError):
    """A file that cannot be written: a full disk, no permission. Whatever stood there before still does."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the closest known name, whatever its case, else `"; known: a, b"`, else
    an empty text."""
    choices = sorted(set(known))
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if not close:  # not first, since names may differ in their case alone
        alike = {choice.casefold(): choice for choice in reversed(choices)}
        close = [alike[c] for c in difflib.get_close_matches(name.casefold(), alike, n=1, cutoff=0.6)]
    if close:
        return f"; did you mean {close[0]!r}?"
    if not choices:
        return ""
    shown = ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")
    return f"; known: {shown}"


def one_line(error: BaseException) -> str:
    """The error's message on one line, visible to the last character, with the notes that the layers above
    added."""
    said = _said(error)
    text = " ".join(said.split()) or type(error).__name__
    if not isinstance(error, MagdrError):
        text = f"{type(error).__name__}: {text}" if said else text
    notes = " ".join(" ".join(str(note).split()) for note in getattr(error, "__notes__", None) or ())
    return visible(f"{text} [{notes}]" if notes else text)


def _said(error: BaseException) -> str:
    """`str(error)`, also of an exception whose own `__str__` is broken."""
    try:
        return str(error)
    except BaseException as e:
        return f"(its message cannot be read: {type(e).__name__})"

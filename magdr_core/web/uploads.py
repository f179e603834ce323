"""Uploads read in memory, and plain sentences about those that cannot be used."""

from __future__ import annotations

import re

from magdr_core.errors import one_line
from magdr_core.inference.loaded import NoFaceError
from magdr_core.media.pictures import picture_from_bytes
from magdr_core.printable import visible
from magdr_core.web.answers import Upload

MAX_BYTES = 50_000_000
"""Of an upload; a picture of 64 megapixels rarely takes more."""

LONGEST = 60
"""Characters of a file's name that are shown."""

UNNAMED = "the picture"

_VERB = re.compile(r"(is|has|needs|cannot|shows)\b")


def name_of(given: str) -> str:
    """What a file is called on the page: without folders, harmless to look at, not too long."""
    name = visible(re.split(r"[/\\]", given)[-1]).strip()
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 12]}...{name[-9:]}"
    return name.strip(".") or UNNAMED


def read_upload(content: bytes, given: str) -> Upload:
    """An uploaded file as a picture.

    Args:
        given: the name that the browser tells.

    Raises:
        DataError: it cannot be used; one line that begins with its name.
    """
    name = name_of(given)
    return Upload(name, picture_from_bytes(content, name))


def sentence_about(name: str, error: Exception) -> str:
    """What is wrong with an upload, as a sentence for somebody who sees a web page and no command line."""
    shown = name if name == UNNAMED else f"“{name}”"
    if isinstance(error, NoFaceError):
        return (
            f"No face was found in {shown}. Choose a picture with a larger face seen from the front, or tick "
            "“use the middle of the picture”."
        )
    text = one_line(error)
    if not text.startswith(f"{name}: "):
        return _ended(text)
    reason = text.removeprefix(f"{name}: ")
    joined = f"{shown} {reason}" if _VERB.match(reason) else f"{shown}: {reason}"
    return _ended(joined)


def too_large(size: int | None = None) -> str:
    """What is said of a file with too many bytes."""
    has = "" if size is None else f"has {-(-size // 10**6)} MB and "
    return f"The file {has}is too large; pictures of up to {MAX_BYTES // 10**6} MB are read."


def _ended(text: str) -> str:
    sentence = f"{text[:1].upper()}{text[1:]}"
    return sentence if sentence.endswith((".", "!", "?", "”")) else f"{sentence}."

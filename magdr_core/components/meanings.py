"""What parameters mean, read from docstrings: there is no second list of meanings either.

A factory says it where its readers look, in the `Args:` of its docstring, in Google's form:

    Args:
        eps: L-infinity bound in [0,1] units.
        steps, restarts: at least 1; a text may go on
            on lines that are indented further.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:(?: |$)(?P<text>.*)")
_SECTION = re.compile(r"(Args|Arguments|Parameters):\s*")
_ROLE = re.compile(r":\w+:`~?(?:[^`]*\.)?(?P<name>[^`.]+)`")
"""A cross-reference such as `:class:`~package.module.Name``: the name alone is what a person reads."""


def meanings_of(build: Callable[..., Any]) -> dict[str, str]:
    """Meanings by name of parameter, as far as docstrings tell them, one line each.

    A class is asked first, then its `__init__`, then the classes that it is made from; what is nearer goes
    before what is further away.
    """
    found: dict[str, str] = {}
    for text in _docstrings(build):
        found = {**told_by(text), **found}
    return found


def told_by(docstring: str) -> dict[str, str]:
    """Meanings by name of parameter in a docstring's `Args:`; empty if it has none."""
    lines = iter(inspect.cleandoc(docstring).splitlines())
    if not any(_SECTION.fullmatch(line) for line in lines):  # which leaves what is below the heading
        return {}
    entries: list[tuple[str, list[str]]] = []
    depth = 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and not indent:
            break  # the next section, or ordinary text
        depth = depth or indent
        match = _ENTRY.fullmatch(line.strip()) if indent == depth else None
        if match:
            entries.append((match["names"], [match["text"]]))
        elif entries:
            entries[-1][1].append(line.strip())
    return {
        name.strip().lstrip("*"): _ROLE.sub(r"`\g<name>`", " ".join(filter(None, parts)))
        for names, parts in entries
        for name in names.split(",")
    }


def sentence(text: str) -> str:
    """A meaning with a capital letter in front, unless that would change a name, and a full stop behind."""
    first = text.partition(" ")[0]
    text = text[:1].upper() + text[1:] if first.strip(",;:.?!").isalpha() else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _docstrings(build: Callable[..., Any]) -> Iterator[str]:
    """Of a function its own, also where it is wrapped; of a class those that may tell of its parameters."""
    sources = [build]
    if isinstance(build, type):
        sources = [s for c in build.__mro__ for s in (c, vars(c).get("__init__")) if s and c is not object]
    for source in sources:
        text = getattr(source, "__doc__", None)
        if isinstance(text, str):
            yield text

"""Everything that the commands print goes through here.

What is printed contains text from elsewhere: names of files, messages of plugins, notes of registries, other
people's run folders. Here it becomes harmless (`printable.visible`), whoever forgot to think of it:
every string is data on one line, without markup, and whatever still reaches the stream without being Rich's
own has its control characters escaped. No other module of the command line prints (a test holds that).
"""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, TextIO

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from magdr_core.printable import visible


def say(message: object = "", *, err: bool = False) -> None:
    """One line on stdout, or on stderr."""
    click.echo(visible(message), file=_stream(err))


def say_document(document: Any) -> None:
    """A JSON document on stdout, in ASCII: everything that is not is escaped as JSON does it.

    Raises:
        ValueError: it holds NaN or an infinity, which are no JSON.
    """
    click.echo(json.dumps(document, indent=1, allow_nan=False), file=_stream())


def say_lines(text: str) -> None:
    """Several lines on stdout, for programs that read them, such as CSV."""
    click.echo(visible(text, lines=True), file=_stream(), nl=not text.endswith("\n"))


def _stream(err: bool = False) -> TextIO:
    """The stream itself: left to itself, click writes UTF-8 where the stream says ASCII."""
    return sys.stderr if err else sys.stdout


def stacked(*lines: object) -> Text:
    """A cell of a table with these lines below each other; a string alone is always one line."""
    return Text("\n".join(visible(line) for line in lines))


def never_fail_to_encode() -> None:
    """What stdout and stderr cannot encode (a name under `LANG=C`) is printed as an escape, not an error."""
    stream: Any
    for stream in (sys.stdout, sys.stderr):
        # Somebody may have put another object in their place, or have closed them.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")


class Terminal(Console):
    """Rich's console for text that nobody vouches for: no markup, no emoji codes, no highlighting.

    Strings (printed, or in cells of tables) are one line each, `stacked` makes several. Styles are given as
    such: `print(text, style="red")`.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def say(self, text: object, style: str | None = None) -> None:
        """A sentence: broken between words in somebody's terminal, and one line where a program reads.

        Lines that are to be copied, such as paths, are printed with `soft_wrap=True`.
        """
        lines = [visible(text)]
        if self.is_terminal:
            indent = " " * (len(lines[0]) - len(lines[0].lstrip()) + 2)
            wrapper = textwrap.TextWrapper(
                self.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
            lines = wrapper.wrap(lines[0]) or [""]
        for line in lines:
            self.print(line, style=style, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        plain = {"emoji": False, "markup": False, "highlight": False}
        return super().render_str(visible(text), **options | plain)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The last word on all text, also where it came as a Rich object; Rich's own codes are no text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text, lines=True), segment.style)

"""What became of each of one's own files: told as it happens, or gathered for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from magdr_core.cli.common import ProgressDisplay
from magdr_core.cli.document import path_facts, text_only
from magdr_core.cli.paths import Input
from magdr_core.cli.terminal import Terminal, say_document
from magdr_core.cli.verdict_text import ADVICE, explain, file_lines
from magdr_core.errors import MagdrError, one_line
from magdr_core.magdr.verdict import DISRUPTED, UNCLEAR


@dataclass(frozen=True)
class Telling:
    """What a command's results are in words.

    Attributes:
        opening: lines before the first one, of the document's head.
        lines: of one input's facts, the first one beside the file's name.
        counted: the verdicts that are counted at the end, the first of them also where there is none.
        explain: adds to an input's facts what they mean, by the document's head.
    """

    opening: Callable[[Mapping[str, Any]], list[str]]
    lines: Callable[[Mapping[str, Any]], list[str]]
    counted: Sequence[str]
    explain: Callable[[dict[str, Any], Mapping[str, Any]], None] = lambda facts, head: None


def _assumptions(head: Mapping[str, Any]) -> list[str]:
    lines = []
    if head.get("knows"):
        lines.append(
            f"the generator of {head['task']} knows {head['knows']} only: on a photograph, neither what it "
            "makes of it nor a verdict about that means much"
        )
    if head.get("synthetic"):
        lines.append(
            f"calibrated on {head['calibrated_on']}, no photographs: verdicts are guesses until you {ADVICE}"
        )
    if head.get("kept"):
        names = ", ".join(head["kept"])
        lines.append(f"kept as each face shows them, as far as the generator can tell: {names}")
    if head["assumed_absent"]:
        names = ", ".join(head["assumed_absent"])
        lines.append(f"taken for absent, since --has does not name them: {names}")
    return lines


DISRUPTION = Telling(_assumptions, file_lines, (DISRUPTED, UNCLEAR), explain)
"""Of `detect`, `defend` and `attack`."""


@dataclass
class FileReport:
    """Says what became of each input, or gathers it for one JSON document.

    Attributes:
        stdout: in this context stdout is the command's own again (`for_a_program`).
        results: for the document alone: a folder may be of any size.
        verdicts: how many there are of each.
    """

    display: ProgressDisplay
    as_json: bool
    head: dict[str, Any]
    stdout: Callable[[], AbstractContextManager[None]] = nullcontext
    results: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    skipped: list[dict[str, str]] = field(default_factory=list)
    telling: Telling = DISRUPTION
    started: bool = False

    def start(self) -> None:
        """Say what is to be known beforehand, once."""
        if not (self.as_json or self.started):
            for line in self.telling.opening(self.head):
                self.display.say(line)
        self.started = True

    def done(self, given: Input, facts: dict[str, Any]) -> None:
        self.telling.explain(facts, self.head)
        self.count += 1
        self.verdicts.update([facts["verdict"]] if "verdict" in facts else [])
        if self.as_json:
            self.results.append({**path_facts(given.path), **facts})
        else:
            first, *rest = self.telling.lines(facts)
            lines = [f"{given.path}: {first}", *(f"  {line}" for line in rest)]
            for line in lines:
                self.display.say(line)
            for path in facts.get("files", {}).values():
                self.display.say_path(f"  {path}")
        self.display.advance("")

    def skip(self, given: Input, error: MagdrError) -> None:
        message = one_line(error)
        self.skipped.append({**path_facts(given.path), "error": message})
        self.display.say(f"skipped {message}")
        self.display.advance("")

    def finish(self) -> None:
        """Print the document or the count, and exit 1 if something was skipped."""
        if self.as_json:
            document = {**self.head, "results": self.results, "skipped": self.skipped}
            with self.stdout():
                say_document(text_only(document))
        else:
            first, *others = self.telling.counted
            shown = [first, *(word for word in others if self.verdicts[word])] if self.verdicts else []
            judged = "".join(f", {self.verdicts[word]} {word}" for word in shown)
            skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
            self.display.say(f"{self.count} done{judged}{skipped}")
        if self.skipped:
            raise SystemExit(1)


def new_display(as_json: bool) -> ProgressDisplay:
    """On stderr if stdout is for a program."""
    return ProgressDisplay(Terminal(stderr=as_json))

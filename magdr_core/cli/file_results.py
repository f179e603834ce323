"""What became of each of one's own files: told as it happens, or gathered for a program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from magdr_core.cli.common import ProgressDisplay
from magdr_core.cli.document import path_facts, text_only
from magdr_core.cli.paths import Input
from magdr_core.cli.terminal import Terminal, say_document
from magdr_core.cli.verdict_text import ADVICE, detail_lines, verdict_line
from magdr_core.errors import MagdrError, one_line


@dataclass
class FileReport:
    """Says what became of each input, or gathers it for one JSON document.

    Attributes:
        stdout: in this context stdout is the command's own again (`for_a_program`).
        results: for the document alone: a folder may be of any size.
    """

    display: ProgressDisplay
    as_json: bool
    head: dict[str, Any]
    stdout: Callable[[], AbstractContextManager[None]] = nullcontext
    results: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    judged: int = 0
    disrupted: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)

    def start(self) -> None:
        if self.as_json:
            return
        if self.head["assumed_absent"]:
            names = ", ".join(self.head["assumed_absent"])
            self.display.say(f"taken for absent, since --has does not name them: {names}")
        if self.head.get("synthetic"):
            self.display.say(
                f"calibrated on {self.head['calibrated_on']}, no photographs: verdicts are guesses until you "
                f"{ADVICE}"
            )

    def done(self, given: Input, facts: dict[str, Any]) -> None:
        if facts.get("covered_by_calibration") is False:
            facts["advice"] = ADVICE
        self.count += 1
        self.judged += "verdict" in facts
        self.disrupted += facts.get("verdict") == "disrupted"
        if self.as_json:
            self.results.append({**path_facts(given.path), **facts})
        else:
            lines = [f"{given.path}: {verdict_line(facts)}", *(f"  {line}" for line in detail_lines(facts))]
            lines += [f"  {path}" for path in facts.get("files", {}).values()]
            for line in lines:
                self.display.say(line)
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
            judged = f", {self.disrupted} disrupted" if self.judged else ""
            skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
            self.display.say(f"{self.count} done{judged}{skipped}")
        if self.skipped:
            raise SystemExit(1)


def new_display(as_json: bool) -> ProgressDisplay:
    """On stderr if stdout is for a program."""
    return ProgressDisplay(Terminal(stderr=as_json))

"""The console's view of checks.json: one line per failed check, and per row whose checks are incomplete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from magdr_core.bench.run import RunResult
from magdr_core.cli.terminal import Terminal


def print_checks(console: Terminal, result: RunResult) -> None:
    """Print the failed checks, and how many rows have which badge; nothing where nothing was checked."""
    if not result.checks:
        return
    for line in failed_lines(result.checks):
        console.say(line, "red")
    for row in result.checks:
        if row["badge"] == "incomplete":
            line = f"incomplete: {row['task']} / {_what(row)}: {row['why']}"
            console.say(line, "yellow")
    badges = [row["badge"] for row in result.checks]
    counts = ", ".join(f"{badges.count(b)} {b}" for b in dict.fromkeys(sorted(badges)))
    console.print(f"sanity checks: {counts}")


def failed_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line per failed check."""
    for row in rows:
        for check in row["checks"]:
            if check["verdict"] == "fail":
                yield f"unreliable: {row['task']} / {_what(row)}: {check['name']}: {check['said']}"


def _what(row: Mapping[str, Any]) -> str:
    return "attack engine" if row["role"] == "planted" else f"{row['role']} {row['component']}"

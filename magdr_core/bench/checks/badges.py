"""From verdicts to one badge per row.

`unreliable`: a check failed, of the row itself or of the attack engine (a planted weakness was missed); or
the row has adaptive figures that more effort would have raised, effort that their own attack did not have.
`incomplete`: nothing failed, but a check that applies was not done in full, or had nothing to look at; then
nothing is vouched for. `oblivious-only`: nothing failed, and no attack of the run knew the component.
`verified`: every check that applies was done, none failed, and the adaptive figures stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from magdr_core.bench.checks.adaptive import adaptive_checks, same_row
from magdr_core.bench.checks.check import STANDS_FOR
from magdr_core.bench.checks.component import LONGER
from magdr_core.results.cell import CellResult
from magdr_core.results.checked import Badge

PLANTED = "planted"

STEPS, DRAWS = "10x steps", "EOT at 2x samples"
"""Checks that warn of figures that more effort would have raised."""


def with_badges(rows: Sequence[Mapping[str, Any]], cells: Sequence[CellResult]) -> list[dict[str, Any]]:
    """The rows, each with `badge` and `why`, and with the comparison of its adaptive cells where it has some.

    Args:
        cells: of the whole run, with their per-sample values.
    """
    planted = {row["task"]: row for row in rows if row["role"] == PLANTED}
    found = []
    for row in rows:
        compared = [check.as_json() for check in adaptive_checks(row, cells)]
        own = {**row, "checks": [*row["checks"], *compared]}
        engine = None if row["role"] in (PLANTED, "attack") else planted.get(row["task"])
        badge, why = _badge(own, _least_steps(row, cells), engine)
        found.append({**own, "badge": badge, "why": why})
    return found


def _least_steps(row: Mapping[str, Any], cells: Sequence[CellResult]) -> int | None:
    """Of the row's adaptive attacks, the steps of the shortest; None where there are none."""
    own = [cell.facts for cell in cells if not cell.failed and same_row(cell.facts, row)]
    return min((facts.steps for facts in own if facts.knowledge == "adaptive"), default=None)


def _badge(row: Mapping[str, Any], steps: int | None, engine: Mapping[str, Any] | None) -> tuple[Badge, str]:
    """`steps` of the row's adaptive attacks, `engine` the row of the planted weaknesses; None without."""
    failed = _failed(row)
    if failed:
        return "unreliable", "; ".join(failed)
    missed = _failed(engine) if engine else []
    if missed:
        return "unreliable", "the attack engine missed a planted weakness: " + "; ".join(missed)
    if row["role"] in (PLANTED, "attack"):
        undone = _undone(row)
        return ("incomplete", undone) if undone else ("verified", "every check that applies passed")
    doubted = _doubted(row, steps)
    if doubted:
        return "unreliable", "adaptive figures that more effort raises: " + "; ".join(doubted)
    untried = engine is not None and _said(engine, "skipped")
    undone = _undone(row) or (
        "it is not known what the attack engine misses: " + "; ".join(untried) if untried else ""
    )
    if undone:
        return "incomplete", undone
    if steps is None:
        return "oblivious-only", "no attack in the tables of this run knew the component"
    stands = "the adaptive attack is no weaker than the oblivious one"
    warned = _said(row, "warn")
    if warned:
        return "verified", f"no check failed, and {stands}; to be weighed: {'; '.join(warned)}"
    return "verified", f"every check that applies passed, and {stands}"


def _doubted(row: Mapping[str, Any], steps: int | None) -> list[str]:
    """Warnings that say that the row's adaptive figures would rise with more effort."""
    if steps is None:
        return []
    # That a short attack gains by being ten times as long is no word against one that was so long.
    tried = LONGER * int(row.get("how", {}).get("steps", steps + 1))
    told = (DRAWS,) if steps >= tried else (DRAWS, STEPS)
    return [said for said in _said(row, "warn") if said.startswith(told)]


def _undone(row: Mapping[str, Any]) -> str:
    """Which checks of a row were not done in full, of how many, and why; empty where all were.

    A stand-in that leads nowhere is no finished check either: what it says of the gradient is that the checks
    which follow it have not followed the defense.
    """
    told, undone, every = [], 0, 0
    for check in row["checks"]:
        counts = int((check.get("evidence") or {}).get(STANDS_FOR, 1))
        if check["verdict"] == "skipped" or (check["name"], check["verdict"]) == ("gradient", "warn"):
            undone += counts
            told.append(f"{check['name']}: {check['said']}")
        every += counts if check["verdict"] != "inapplicable" else 0
    if told:
        return f"{undone} of {every} checks were not done in full: {'; '.join(told)}"
    if not any(check["verdict"] == "pass" for check in row["checks"]):
        return "no check of this row has passed, so none has looked at its figures"
    return ""


def _failed(row: Mapping[str, Any]) -> list[str]:
    return _said(row, "fail")


def _said(row: Mapping[str, Any], verdict: str) -> list[str]:
    return [f"{check['name']}: {check['said']}" for check in row["checks"] if check["verdict"] == verdict]

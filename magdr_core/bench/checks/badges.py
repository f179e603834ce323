"""From verdicts to one badge per row.

`unreliable`: a check failed, of the row itself or of the attack engine (a planted weakness was missed); or
the row has adaptive figures that more effort would have raised, effort that their own attack did not have.
`oblivious-only`: nothing failed, but no attack of the run's tables knew the component. `verified`: nothing
failed and the adaptive figures stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from magdr_core.bench.checks.adaptive import adaptive_checks, same_row
from magdr_core.bench.checks.component import LONGER

Badge = Literal["verified", "oblivious-only", "unreliable"]

PLANTED = "planted"

STEPS, DRAWS = "10x steps", "EOT at 2x samples"
"""Checks that warn of figures that more effort would have raised."""


def with_badges(
    rows: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The rows, each with `badge` and `why`, and with the comparison of its adaptive cells where it has some.

    Args:
        cells: of the whole run, with their per-sample values.
    """
    missed = {row["task"]: _failed(row) for row in rows if row["role"] == PLANTED}
    found = []
    for row in rows:
        compared = [check.as_json() for check in adaptive_checks(row, cells)]
        own = {**row, "checks": [*row["checks"], *compared]}
        engine = [] if row["role"] in (PLANTED, "attack") else missed.get(row["task"], [])
        steps = _least_steps(row, cells) if compared else None
        badge, why = _badge(own, steps, engine)
        found.append({**own, "badge": badge, "why": why})
    return found


def _least_steps(row: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> int:
    """Of the row's adaptive attacks, the steps of the shortest."""
    own = [cell["facts"] for cell in cells if "error" not in cell and same_row(cell["facts"], row)]
    return min((int(f["steps"]) for f in own if f["knowledge"] == "adaptive"), default=0)


def _badge(row: Mapping[str, Any], steps: int | None, engine: Sequence[str]) -> tuple[Badge, str]:
    """`steps` of the row's adaptive attacks; None where there are none."""
    failed = _failed(row)
    if failed:
        return "unreliable", "; ".join(failed)
    if engine:
        return "unreliable", "the attack engine missed a planted weakness: " + "; ".join(engine)
    if row["role"] in (PLANTED, "attack"):
        return "verified", "every check that applies passed"
    if steps is None:
        return "oblivious-only", "no attack in the tables of this run knew the component"
    # That a short attack gains by being ten times as long is no word against one that was so long.
    tried = LONGER * int(row.get("how", {}).get("steps", steps + 1))
    doubted = (DRAWS,) if steps >= tried else (DRAWS, STEPS)
    warned = [said for said in _said(row, "warn") if said.startswith(doubted)]
    if warned:
        return "unreliable", "adaptive figures that more effort raises: " + "; ".join(warned)
    if not any(check["verdict"] == "pass" for check in row["checks"]):
        return "unreliable", "adaptive figures that no check has looked at"
    return "verified", "every check passed, and the adaptive attack is no weaker than the oblivious one"


def _failed(row: Mapping[str, Any]) -> list[str]:
    return _said(row, "fail")


def _said(row: Mapping[str, Any], verdict: str) -> list[str]:
    return [f"{check['name']}: {check['said']}" for check in row["checks"] if check["verdict"] == verdict]

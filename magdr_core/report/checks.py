"""The sanity checks and threat cards of a run, as a reader sees them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from magdr_core.report.formatting import Badge
from magdr_core.report.load import RunData
from magdr_core.results.cell import ATTACK, SWEEP

HEADINGS = {
    "attack": "attack",
    "planted": "attack engine, on planted weaknesses",
    "detector": "detector",
    "defense": "defense",
}


@dataclass(frozen=True)
class Checked:
    """A checked row: what was looked at, how, and every conclusion as (name, verdict, words, figures)."""

    label: str
    role: str
    badge: Badge
    how: str
    checks: list[tuple[str, str, str, str]]


@dataclass(frozen=True)
class Threat:
    """A threat card: a heading and its entries as (term, words)."""

    title: str
    entries: list[tuple[str, str]]


def badge_of(run: RunData, task: str, role: str, component: str) -> Badge | None:
    """The badge of a row; None where it was not checked."""
    for index, row in enumerate(run.checks.get("rows") or ()):
        if (row["task"], row["role"], row["component"]) == (task, role, component):
            return Badge(str(row["badge"]), str(row["why"]), _place(index))
    return None


def checked_tasks(run: RunData) -> dict[str, list[Checked]]:
    """Every checked row by task, in the order of checks.json."""
    found: dict[str, list[Checked]] = defaultdict(list)
    for index, row in enumerate(run.checks.get("rows") or ()):
        checks = [
            (str(c["name"]), str(c["verdict"]), str(c["said"]), _pairs(c.get("evidence") or {}))
            for c in row["checks"]
        ]
        badge = Badge(str(row["badge"]), str(row["why"]), _place(index))
        label = "" if row["role"] == "planted" else str(row["component"])
        role = HEADINGS.get(str(row["role"]), str(row["role"]))
        found[str(row["task"])].append(Checked(label, role, badge, _pairs(row["how"]), checks))
    return dict(found)


def checked_how(run: RunData) -> str:
    """How much was checked, in one sentence; empty without checks."""
    settings = run.checks.get("settings")
    if not isinstance(settings, dict):
        return ""
    return (
        f"The checks ran on the first {settings['faces']} faces of the first seed at most, with "
        f"{settings['steps']} steps of their own attack (ten times as many in one of them); components that "
        "take many generator passes got fewer, as each row says."
    )


def threats(run: RunData) -> dict[str, list[Threat]]:
    """The threat cards by task: one per attack, and one per component where it was made for that one."""
    found: dict[str, dict[str, Threat]] = defaultdict(dict)
    for cell in run.cells:
        card, facts = cell.threat, cell.facts
        if not card or facts.slice_role not in (ATTACK, SWEEP):
            continue
        # Undefended and oblivious cells share their attacked images.
        knows = str(card.get("knowledge", ""))
        shared = "oblivious" if knows == "none" else knows
        steps = card.get("steps")
        title = f"{facts.attack}, {_eps(card.get('eps'))}, {steps} step{'' if steps == 1 else 's'}, {shared}"
        if knows == "adaptive":
            title += f", against {facts.role} {facts.component}"
        if knows != "none" or title not in found[facts.task]:
            found[facts.task][title] = Threat(title, _entries(card))
    return {task: list(cards.values()) for task, cards in found.items() if cards}


def _entries(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    entries = []
    for term, value in card.items():
        if term == "knowledge" or value in (None, "", [], {}):
            continue
        if term in ("eps", "step_size"):
            words = _eps(value)
        elif isinstance(value, dict):
            words = _pairs(value)
        else:
            words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        entries.append((term.replace("_", " "), words))
    return entries


def _eps(value: Any) -> str:
    return f"{value * 255:.4g}/255" if isinstance(value, int | float) else str(value)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {_eps(v) if k == 'eps' else _shown(v)}" for k, v in values.items())


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _place(index: int) -> str:
    return f"check-{index}"

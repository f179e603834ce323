"""Verdicts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.inference.videos import stretches_in_words
from magdr_core.magdr.verdict import ADVICE, verdict_words

__all__ = ["ADVICE", "detail_lines", "verdict_line"]

SHOWN = 3


def verdict_line(facts: Mapping[str, Any]) -> str:
    """What was decided, in one line without the file's name."""
    if "verdict" not in facts:
        return _attack_line(facts)
    guess = not facts["covered_by_calibration"]
    return verdict_words(
        facts["verdict"], facts["score"], facts["threshold"], guess=guess, where=_where(facts)
    )


def _where(facts: Mapping[str, Any]) -> str:
    if "frames" not in facts:
        return ""
    return stretches_in_words(facts["frames_disrupted"], facts["frames"], facts["stretches"])


def _attack_line(facts: Mapping[str, Any]) -> str:
    state = "disrupts the generator" if facts["disrupted"] else "hardly disrupts the generator"
    line = f"{state}: output MSE {facts['output_mse']:.3f}, pixels moved by up to {facts['largest_change']}"
    if "output_mse_in_file" in facts:
        line += f"; cut out of the written file again, {facts['output_mse_in_file']:.3f}"
    return line


def detail_lines(facts: Mapping[str, Any]) -> list[str]:
    """The evidence behind a verdict: the strongest regions and processings, and what was done."""
    lines = []
    strongest = [
        f"{name}: {_strongest(facts[key])}"
        for name, key in (("regions", "regions"), ("processings", "processings"))
        if facts.get(key)
    ]
    if strongest:
        lines.append("; ".join(strongest) + " (in spreads of clean faces)")
    if facts.get("plan"):
        lines.append(f"restored by {', then '.join(facts['plan'])} ({_cost(facts)})")
    elif facts.get("verdict") == "disrupted" and facts.get("files"):
        lines.append("not changed: no restoration made it look cleaner")
    lines.extend(facts.get("notes", ()))
    return lines


def _cost(facts: Mapping[str, Any]) -> str:
    if "frames" in facts:
        return f"the same for every disrupted frame; {facts['forwards']:g} forwards per frame"
    return f"{facts['rounds']} round{'s' * (facts['rounds'] != 1)}, {facts['forwards']:g} forwards"


def _strongest(values: Mapping[str, float]) -> str:
    ranked = sorted(values.items(), key=lambda item: -item[1])[:SHOWN]
    return ", ".join(f"{name} {value:+.1f}" for name, value in ranked)

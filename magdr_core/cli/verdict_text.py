"""Verdicts in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from magdr_core.cli.plain_words import explained
from magdr_core.inference.videos import stretches_in_words
from magdr_core.magdr.verdict import ADVICE, DISRUPTED, INTACT, verdict_words

__all__ = ["ADVICE", "explain", "file_lines", "headline", "verdict_line"]


def verdict_line(facts: Mapping[str, Any]) -> str:
    """What was decided about a face or a clip, in one line without the file's name."""
    if "verdict" not in facts:
        return _attack_line(facts)
    unsure, guess = facts.get("unsure_above"), not facts["covered_by_calibration"]
    return verdict_words(
        facts["score"], facts["threshold"], unsure_above=unsure, guess=guess, where=_where(facts)
    )


def headline(facts: Mapping[str, Any]) -> str:
    """The verdict alone; of a guess also what it would be."""
    if "verdict" not in facts:
        return _attack_line(facts)
    word, each = facts["verdict"], facts.get("faces", [facts])
    looks = DISRUPTED if facts["flagged"] else INTACT
    where = _where(facts)
    if len(each) > 1:
        alike = sum(face["verdict"] == word for face in each)
        where = f", {alike} of {len(each)} faces"
    if not facts["covered_by_calibration"]:
        return f"{word}{where}; it looks {looks}" if len(each) > 1 else f"{word}; it looks {looks}{where}"
    return f"{word}{where}"


def _where(facts: Mapping[str, Any]) -> str:
    if "frames" not in facts:
        return ""
    return stretches_in_words(facts["frames_disrupted"], facts["frames"], facts["stretches"])


def _attack_line(facts: Mapping[str, Any]) -> str:
    state = "disrupts the generator" if facts["disrupted"] else "hardly disrupts the generator"
    line = f"{state}: output MSE {facts['output_mse']:.3f} on [-1,1] (more is worse)"
    if "output_mse_in_file" in facts:
        line += f", {facts['output_mse_in_file']:.3f} cut out of the written file again"
    return f"{line}; pixels moved by up to {facts['largest_change']}"


def explain(facts: dict[str, Any], head: Mapping[str, Any]) -> None:
    """Add to the facts of a file, and of each of its faces, how sure the verdict is, why, and what to do."""
    if "verdict" not in facts:
        return
    facts |= explained(facts, head)
    for face in facts.get("faces", ()):
        face |= explained(face, head)


def file_lines(facts: Mapping[str, Any]) -> list[str]:
    """All that is said of a file: the verdict, then a block of lines for it, or for each of its faces."""
    lines = [headline(facts)]
    if "verdict" in facts:
        each = facts.get("faces", [facts])
        if len(each) == 1:
            lines += _reasons(facts)
        for number, face in enumerate(each, 1) if len(each) > 1 else ():
            place = f"{face['cut']['side']} pixels a side at {face['cut']['left']}, {face['cut']['top']}"
            lines.append(f"face {number} ({place}): {headline(face)}")
            lines += [f"  {line}" for line in _reasons(face)]
        lines.append(f"what to do: {facts['what_to_do']}")
        if "files" in facts:
            lines.append(_handed_back(facts))
    lines.extend(facts.get("notes", ()))
    return lines


def _reasons(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"how sure: {facts['how_sure']}"
    yield f"why: {facts['why']}"
    if facts.get("plan"):
        yield f"restored by {', then '.join(facts['plan'])} ({_cost(facts)})"


def _handed_back(facts: Mapping[str, Any]) -> str:
    if "unchanged" in facts["files"]:
        return "handed back unchanged, a copy of the file byte for byte"
    return "handed back restored; everything else in it is as it was"


def _cost(facts: Mapping[str, Any]) -> str:
    passes = f"{facts['forwards']:g} passes through the generator"
    if "frames" in facts:
        return f"the same for every disrupted frame; {passes} per frame"
    return f"{facts['rounds']} round{'s' * (facts['rounds'] != 1)}, {passes}"

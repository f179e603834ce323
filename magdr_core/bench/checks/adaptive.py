"""Adaptive cells against attacks that know less, on the same row: who knows more must not get less.

Compared are the modes that follow gradients through the component, image by image the best of them, before
anything is pooled with images of attacks that know less: a pooled figure could not lose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from magdr_core.bench.checks.check import FLOOR, SanityCheck, Verdict, if_seen, not_beaten
from magdr_core.measures.statistics import Array
from magdr_core.results.cell import CellResult, Facts

OBLIVIOUS, SEARCH = "oblivious", "square"

RIVALS: tuple[tuple[str, str, tuple[Verdict, str]], ...] = (
    (OBLIVIOUS, "oblivious", ("skipped", "the cell does not say what the oblivious images get")),
    (SEARCH, "black-box", ("inapplicable", "the profile's adaptive attack has no random search")),
)
"""Modes that know less, their names, and what their absence means."""

LESSER = (OBLIVIOUS, "scaled", SEARCH, "undefended", "targeted, undefended", "targeted")
"""Modes of an adaptive cell that follow no gradient of the component, and a pool that has such ones."""


def adaptive_checks(row: Mapping[str, Any], cells: Sequence[CellResult]) -> Iterator[SanityCheck]:
    """The checks of a row's adaptive cells, from their per-sample values by mode."""
    if row["role"] not in ("defense", "detector"):
        return
    everything: Mapping[str, Any] = next((c for c in row["checks"] if c["name"] == "eps-1"), {})
    works = (everything.get("evidence") or {}).get("reached", 0) > 0
    for cell in cells:
        facts = cell.facts
        if facts.knowledge != "adaptive" or not same_row(facts, row):
            continue
        about = f"{facts.attack} at {facts.eps * 255:.3g}/255"
        about += f", through {facts.channel}" if facts.channel else ""
        if cell.failed:
            yield SanityCheck(f"adaptive, {about}", "skipped", f"the attack failed: {cell.error}")
            continue
        modes = gains(cell)
        others = (cell.threat or {}).get("others") or ()
        own = [gain for name, gain in modes.items() if name and name not in (*LESSER, *others)]
        if not own:
            said = "the attack tells no modes of its own"
            yield SanityCheck(f"adaptive against oblivious, {about}", "skipped", said)
            continue
        best = np.max(own, axis=0)
        seen = works or bool((best > FLOOR).any())
        for rival, name, absent in RIVALS:
            what = f"adaptive against {name}"
            if rival in modes:
                yield if_seen(not_beaten(f"{what}, {about}", best, modes[rival], what), seen)
            else:
                yield SanityCheck(f"{what}, {about}", *absent)


def gains(cell: CellResult) -> dict[str, Array]:
    """What each mode got, per image, in [-1,1] units; of a detector only what it does not flag. The pool has
    an empty name."""
    values, found = cell.values, dict[str, Array]()
    detector = cell.facts.role == "detector"
    measure = "disruption" if detector else "mse_o"
    for key, own in values.items():
        mode, _, metric = key.rpartition("/")
        if metric != measure or mode == "ensemble":
            continue
        gain = np.asarray(own, dtype=float)
        if detector and f"{mode}/score" not in values and mode:
            continue  # of whatever does most to the generator alone: nobody asked the detector
        if detector:
            score = np.asarray(values[f"{mode}/score" if mode else "score"], dtype=float)
            gain = np.where(score > cell.thresholds["fpr"], 0.0, gain)
        found[mode] = gain if detector else gain * 4 / 255**2
    return found


def same_row(facts: Facts, row: Mapping[str, Any]) -> bool:
    """Whether a cell is of a checked row."""
    return all(getattr(facts, k) == row[k] for k in ("task", "seed", "role", "component"))

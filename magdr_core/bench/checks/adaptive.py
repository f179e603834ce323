"""Adaptive cells against oblivious ones of the same row: who knows more must not get less.

Compared is each mode of the adaptive attack by itself and the best of them, before the images of attacks that
know less are pooled in: a pooled figure could not lose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from magdr_core.bench.checks.verdicts import Check, not_beaten
from magdr_core.bench.statistics import Array

Cell = Mapping[str, Any]


def adaptive_checks(row: Mapping[str, Any], cells: Sequence[Cell]) -> Iterator[Check]:
    """A check per adaptive cell of a row, against the strongest oblivious cell of the same eps."""
    if row["role"] not in ("defense", "detector"):
        return
    own = [c for c in cells if "error" not in c and _same_row(c["facts"], row)]
    for cell in own:
        facts = cell["facts"]
        if facts["knowledge"] != "adaptive":
            continue
        eps = f"{facts['eps'] * 255:.3g}/255"
        name = f"adaptive against oblivious, {facts['attack']} at {eps}"
        gained = unpooled(cell)
        rivals = [_gain(c, cells) for c in own if _rival(c, cell)]
        strongest = max((r for r in rivals if r is not None), key=lambda r: float(r.mean()), default=None)
        if gained is None or strongest is None:
            yield Check(name, "skipped", "no oblivious figures of the same images and eps to compare with")
            continue
        yield not_beaten(name, gained, strongest, "adaptive against oblivious")


def unpooled(cell: Cell) -> Array | None:
    """Per image, what the adaptive attack got by its own means: the strongest mode, if it says its modes."""
    modes = cell.get("modes")
    if not modes:
        return _gain(cell, ())
    gains = [np.asarray(mode["gain"], dtype=float) for mode in modes if mode.get("own", True)]
    return np.max(gains, axis=0) if gains else None


def _same_row(facts: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all(facts[k] == row[k] for k in ("task", "seed", "role", "component"))


def _rival(cell: Cell, adaptive: Cell) -> bool:
    facts, own = cell["facts"], adaptive["facts"]
    return (
        facts["knowledge"] == "oblivious"
        and facts["slice_role"] == "attack"
        and abs(facts["eps"] - own["eps"]) < 1e-9
        and cell["ids"] == adaptive["ids"]
    )


def _gain(cell: Cell, cells: Sequence[Cell]) -> Array | None:
    """Output MSE that the row lets through, `[n]`; of a detector, that of what it does not flag."""
    values, facts = cell["values"], cell["facts"]
    if facts["role"] == "defense":
        return np.asarray(values["mse_o"], dtype=float)
    unnoticed = np.asarray(values["score"], dtype=float) <= cell["thresholds"]["fpr"]
    if "mse_o" in values:
        return unnoticed * np.asarray(values["mse_o"], dtype=float)
    for other in cells:
        its = other["facts"]
        same = all(its[k] == facts[k] for k in ("task", "seed", "attack", "eps", "steps"))
        if its["role"] == "attack" and same and "error" not in other:
            return unnoticed * np.asarray(other["values"]["mse_o"], dtype=float)
    return None
